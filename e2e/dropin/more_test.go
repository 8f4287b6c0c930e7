package dropin_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// buid asks for this computer's identity, which the daemon makes if there is none.
func buid(b *box) string {
	c, err := net.Dial("unix", socketPath)
	b.must(err)
	defer c.Close()
	b.must(c.SetDeadline(time.Now().Add(patience)))
	const payload = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>MessageType</key><string>ReadBUID</string></dict></plist>`
	var message bytes.Buffer
	b.must(binary.Write(&message, binary.LittleEndian, []uint32{uint32(16 + len(payload)), 1, 8, 1}))
	message.WriteString(payload)
	_, err = c.Write(message.Bytes())
	b.must(err)
	var head [16]byte
	_, err = io.ReadFull(c, head[:])
	b.must(err)
	reply := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	_, err = io.ReadFull(c, reply)
	b.must(err)
	if !bytes.Contains(reply, []byte("<key>BUID</key>")) {
		b.fail("answer to ReadBUID: %s", reply)
	}
	return string(reply)
}

// passedSockets starts the daemon as systemd does for a socket unit.
func passedSockets(b *box) {
	const path = "/run/passed"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	b.must(err)
	defer l.Close()
	f, err := l.File()
	b.must(err)
	defer f.Close()
	p := b.servesAt("unix", path, []string{"-f"}, shell("export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=usbmuxd.socket"), func(cmd *exec.Cmd) {
		cmd.ExtraFiles = []*os.File{f}
	})
	b.note("serves the passed one: %v", p != nil)
	b.file(socketPath)
	if p == nil {
		return
	}
	p.gets(syscall.SIGTERM)
	p.ends()
	c, err := net.Dial("unix", path) // clients wait in it for the next daemon
	b.note("leaves it: %v", err == nil)
	if err == nil {
		c.Close()
	}
}

// readiness listens as a service manager does.
func readiness(b *box) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/notify", Net: "unixgram"})
	b.must(err)
	defer c.Close()
	p := b.serves([]string{"-f"}, func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=/run/notify") })
	b.must(c.SetReadDeadline(time.Now().Add(patience)))
	told := func(state string) {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			b.must(err)
			if strings.Contains(string(buf[:n]), state) {
				b.note("%s", state)
				return
			}
		}
	}
	told("READY=1")
	p.gets(syscall.SIGTERM)
	p.ends()
	told("STOPPING=1")
}
