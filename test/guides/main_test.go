package guides

import (
	"os"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/ns"
)

// binary is the entrypoint under test. Its folder is first on the PATH of the
// commands that are run: they call it by its name, as in an image.
var binary string

func TestMain(m *testing.M) { os.Exit(ns.Main(m, root, &binary)) }
