package listen

import (
	"net"

	"github.com/prometheus/procfs"
)

// established is TCP_ESTABLISHED of the kernel's include/net/tcp_states.h.
const established = 1

// Taken finds the server's end of a TCP connection of ours to a socket of this
// machine. Its inode is 0 as long as the connection waits in the queue: nobody
// has accepted it. found is false where the kernel does not show it.
func Taken(conn net.Conn) (inode uint64, found bool) {
	client, ok := conn.LocalAddr().(*net.TCPAddr)
	server, fine := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !fine {
		return 0, false
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, false
	}
	// A socket of both families shows an IPv4 client in the IPv6 table.
	for _, read := range []func() (procfs.NetTCP, error){fs.NetTCP, fs.NetTCP6} {
		lines, err := read()
		if err != nil {
			continue
		}
		for _, line := range lines {
			if line.St == established && line.LocalPort == uint64(server.Port) && line.RemPort == uint64(client.Port) && line.RemAddr.Equal(client.IP) {
				return line.Inode, true
			}
		}
	}
	return 0, false
}
