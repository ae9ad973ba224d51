// Package broker proves WORKER and BEAT with the reference component on real
// brokers: Debian's Redis and RabbitMQ, each in a namespace of its own, on a free
// port of the loopback interface.
package broker

import (
	"flag"
	"os"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/ns"
)

// binary is the entrypoint under test.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	// They wait more than they work: as many as cores would take twice as long.
	if err := flag.Set("test.parallel", "4"); err != nil {
		return 1
	}
	return ns.Main(m, "../..", &binary)
}
