package broker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// server is a broker that the test has started.
type server struct {
	*stage.Running
	t    *testing.T
	url  string
	port string
}

// freePort is one that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(stage.FreeAddress(t), ":")
	return port
}

// needs fails where a package is missing: a broker that is not tested is not
// proven.
func needs(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: apt-get install %s", program, pkg)
	}
}

func redis(t *testing.T) *server {
	t.Helper()
	needs(t, "/usr/bin/redis-server", "redis-server")
	port := freePort(t)
	s := &server{t: t, port: port, url: "redis://127.0.0.1:" + port + "/0"}
	s.Running = stage.Start(t, stage.Story{Words: []string{
		"exec", "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", "/tmp", "--save", "", "--loglevel", "notice",
	}})
	s.Says("Ready to accept connections", 1)
	return s
}

// length asks Redis for the length of a list or a hash.
func (s *server) length(command, key string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), stage.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", "-p", s.port, command, key).CombinedOutput()
	if err != nil {
		s.t.Fatalf("redis-cli: %v %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func rabbitMQ(t *testing.T) *server {
	t.Helper()
	// The one on PATH wants to be root and becomes the package's user, whose files
	// are the machine's own node's.
	const program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	needs(t, program, "rabbitmq-server")
	port, folder := freePort(t), t.TempDir()
	config := fmt.Sprintf("listeners.tcp.default = 127.0.0.1:%s\ndefault_user = component\ndefault_pass = password\ndisk_free_limit.absolute = 1MB\nlog.console = true\nlog.console.level = info\n", port)
	if err := os.WriteFile(folder+"/rabbitmq.conf", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: port, url: "amqp://component:password@127.0.0.1:" + port + "//"}
	s.Running = stage.Start(t, stage.Story{Words: []string{"exec", program}, Dir: folder, Env: []string{
		"RABBITMQ_NODENAME=broker" + port + "@localhost",
		"RABBITMQ_CONFIG_FILE=" + folder + "/rabbitmq.conf",
		"RABBITMQ_CONF_ENV_FILE=" + folder + "/none",
		"RABBITMQ_MNESIA_BASE=" + folder + "/mnesia",
		"RABBITMQ_LOG_BASE=" + folder + "/log",
		"RABBITMQ_PID_FILE=" + folder + "/pid",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + folder + "/plugins",
		"RABBITMQ_DIST_PORT=" + freePort(t),
		"ERL_EPMD_PORT=" + freePort(t), // a port mapper of its own, which ends with the namespace
		"ERL_EPMD_ADDRESS=127.0.0.1",
	}})
	s.Says("Server startup complete", 1)
	return s
}
