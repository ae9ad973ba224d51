// Package web proves that WEB drops no request: the built binary in front of
// real servers, a load of 16 clients that open a connection for each request,
// and everything that happens to a deployment meanwhile.
//
// Nothing here sleeps and no timing decides: tests wait for lines of output, for
// answers and for the ends of processes. What is asserted are counts of errors;
// latencies are logged.
package web

import (
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// They wait more than they work: as many at once as cores would take twice as
// long.
func TestMain(m *testing.M) { stage.Main(m, 4, roles()) }
