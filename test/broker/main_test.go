// Package broker proves WORKER and BEAT with the reference component on real
// brokers: Debian's Redis and RabbitMQ, each in a namespace of its own, on a free
// port of the loopback interface.
package broker

import (
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

func TestMain(m *testing.M) { stage.Main(m, 4, nil) }
