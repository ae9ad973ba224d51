package guides

import (
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// The folder of stage.Binary is first on the PATH of the commands that are run:
// they call it by its name, as in an image.
func TestMain(m *testing.M) { stage.Main(m, 4, nil) }
