package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
)

// Taken finds the server's end of a connection of ours to a socket of this
// machine, TCP or unix. Its inode is 0 as long as the connection waits in the queue: nobody
// has accepted it. found is false where the kernel does not show it.
func Taken(conn net.Conn) (inode uint64, found bool) {
	if local, ok := conn.(*net.UnixConn); ok {
		return takenUnix(local)
	}
	client, server := endpoint(conn.LocalAddr()), endpoint(conn.RemoteAddr())
	if !client.IsValid() || !server.IsValid() {
		return 0, false
	}
	if client.Addr().Is4() {
		if inode, found = search("/proc/net/tcp", client, server); found {
			return inode, true
		}
		// A socket of both families shows its IPv4 clients among the IPv6 ones.
		client = netip.AddrPortFrom(netip.AddrFrom16(client.Addr().As16()), client.Port())
		server = netip.AddrPortFrom(netip.AddrFrom16(server.Addr().As16()), server.Port())
	}
	return search("/proc/net/tcp6", client, server)
}

func endpoint(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// search reads line by line: a busy machine has tens of thousands of
// connections, most of them in TIME_WAIT, and procfs would keep all of them in
// memory at once.
func search(table string, client, server netip.AddrPort) (inode uint64, found bool) {
	f, err := os.Open(table)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	const established, inodeField = "01", 9 // include/net/tcp_states.h; proc(5)
	wanted := []byte(" " + kernel(server) + " " + kernel(client) + " " + established + " ")
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if !bytes.Contains(lines.Bytes(), wanted) {
			continue
		}
		fields := bytes.Fields(lines.Bytes())
		if len(fields) <= inodeField {
			return 0, false
		}
		inode, err := strconv.ParseUint(string(fields[inodeField]), 10, 64)
		return inode, err == nil
	}
	return 0, false
}

// kernel writes an address as /proc/net does: words of 32 bits in the byte order
// of the machine, and the port.
func kernel(p netip.AddrPort) string {
	var b bytes.Buffer
	for word := p.Addr().AsSlice(); len(word) > 0; word = word[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(word))
	}
	fmt.Fprintf(&b, ":%04X", p.Port())
	return b.String()
}
