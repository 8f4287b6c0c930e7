package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"sync"
	"syscall"

	"gomuxd/hotplug"
	"gomuxd/usb"
)

// The null daemon shows what phone, kernel and client leave to a daemon. It has
// the project's USB pipe and a socket that understands just enough for the
// client, and between them as little as the phone lets a host get away with: a
// sequence number, the phone's window, an ack for each segment. There is no turn
// among sessions, no queue, no limit and no recovery: one client that does not
// read stops all, and an error ends the process.

const (
	nullHeader = 16 + 20    // bytes of mux and TCP header
	nullFrame  = 48 << 10   // bytes of the largest packet to the phone
	nullWindow = 128 << 10  // bytes that the phone takes unacknowledged
	nullMagic  = 0xfeedface // of a mux header

	flagSYN, flagRST, flagACK = 2, 4, 16
)

type null struct {
	pipe io.ReadWriter // a packet a write

	in   *bufio.Reader  // from it
	acks chan *nullConn // have got something

	// out is held while a packet is numbered and written, so that they leave in
	// order. It is not mu: a write may wait until the reader has collected others.
	out sync.Mutex
	tx  uint16

	mu    sync.Mutex // guards all below
	last  uint16     // source port
	conns map[uint16]*nullConn
}

// nullConn is one session. Its fields but sock are guarded by null.mu.
type nullConn struct {
	sock          net.Conn
	local, remote uint16
	sent, acked   uint32
	got           uint32
	opened        chan bool // the answer to its SYN, true if good
	over          bool
	room          sync.Cond
}

func serveNull() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dev, err := firstPhone(ctx)
	if err != nil {
		return err
	}
	phone, err := usb.Open(ctx, usb.Address{Bus: dev.Bus, Address: dev.Address, Node: dev.Node, SysPath: dev.Path, Port: dev.Port}, usb.Config{})
	if err != nil {
		return err
	}
	defer phone.Close()
	n, err := newNull(phone.Pipe())
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socketPath)
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- n.read() }()
	go func() { failed <- n.acknowledge() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				failed <- err
				return
			}
			go n.serve(c, phone.Info().UDID)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// newNull greets a phone.
func newNull(pipe io.ReadWriter) (*null, error) {
	n := &null{
		pipe:  pipe,
		in:    bufio.NewReaderSize(pipe, 128<<10),
		acks:  make(chan *nullConn, 1<<16),
		conns: make(map[uint16]*nullConn),
	}
	return n, n.greet()
}

// firstPhone is the first that is plugged in.
func firstPhone(ctx context.Context) (hotplug.Device, error) {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan hotplug.Event)
	done := make(chan error, 1)
	go func() { done <- hotplug.New(hotplug.Config{}).Run(ctx, events) }()
	for {
		select {
		case ev := <-events:
			if ev.Action == hotplug.Add {
				cancel()
				return ev.Device, <-done
			}
		case err := <-done:
			cancel()
			return hotplug.Device{}, errors.Join(err, ctx.Err())
		}
	}
}

// greet does the handshake of mux version 2.
func (n *null) greet() error {
	version := make([]byte, 20)
	binary.BigEndian.PutUint32(version[4:], 20)
	binary.BigEndian.PutUint32(version[8:], 2)
	if _, err := n.pipe.Write(version); err != nil {
		return err
	}
	// An earlier host's packets may come first; they have the long header.
	for {
		head, err := n.in.Peek(12)
		if err != nil {
			return err
		}
		stale := binary.BigEndian.Uint32(head[8:]) == nullMagic
		if _, err := n.in.Discard(int(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return err
		}
		if !stale {
			break
		}
	}
	setup := make([]byte, 17)
	setup[16] = 7
	n.stamp(setup, 2)
	_, err := n.pipe.Write(setup)
	return err
}

// stamp writes the mux header of a packet.
func (n *null) stamp(b []byte, protocol uint32) {
	binary.BigEndian.PutUint32(b, protocol)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	binary.BigEndian.PutUint32(b[8:], nullMagic)
	binary.BigEndian.PutUint16(b[12:], n.tx)
	binary.BigEndian.PutUint16(b[14:], 0xffff)
	n.tx++
}

// send sends a packet of c, whose payload is in b behind the headers, unless c is
// over. A reset ends it.
func (n *null) send(c *nullConn, flags byte, b []byte) error {
	n.out.Lock()
	defer n.out.Unlock()
	n.mu.Lock()
	over := c.over
	binary.BigEndian.PutUint32(b[20:], c.sent)
	binary.BigEndian.PutUint32(b[24:], c.got)
	c.sent += uint32(len(b) - nullHeader)
	if flags == flagRST {
		n.endLocked(c)
	}
	n.mu.Unlock()
	if over {
		return nil
	}
	binary.BigEndian.PutUint16(b[16:], c.local)
	binary.BigEndian.PutUint16(b[18:], c.remote)
	b[28], b[29] = 5<<4, flags
	binary.BigEndian.PutUint16(b[30:], nullWindow>>8)
	binary.BigEndian.PutUint32(b[32:], 0)
	n.stamp(b, 6)
	_, err := n.pipe.Write(b)
	return err
}

// read takes what the phone sends, and gives it to the clients.
func (n *null) read() error {
	for {
		head, err := n.in.Peek(nullHeader)
		if err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint32(head[4:]))
		if binary.BigEndian.Uint32(head) != 6 {
			return fmt.Errorf("a packet of protocol %d", binary.BigEndian.Uint32(head))
		}
		b, err := n.in.Peek(length)
		if err != nil {
			return err
		}
		n.take(b)
		if _, err := n.in.Discard(length); err != nil {
			return err
		}
	}
}

// take handles one packet.
func (n *null) take(b []byte) {
	flags, payload := b[29], b[nullHeader:]
	n.mu.Lock()
	c := n.conns[binary.BigEndian.Uint16(b[18:])]
	if c == nil {
		n.mu.Unlock()
		return // it has been reset, and the phone did not know yet
	}
	open := c.sent > 0
	c.acked = binary.BigEndian.Uint32(b[24:])
	c.got += uint32(len(payload))
	c.room.Signal()
	switch {
	case flags&flagRST != 0:
		n.endLocked(c)
	case flags&flagSYN != 0:
		c.sent, c.got = 1, 1
	}
	n.mu.Unlock()
	switch {
	case flags&flagRST != 0 && !open:
		c.opened <- false
	case flags&flagRST != 0:
		c.sock.Close()
	case flags&flagSYN != 0:
		n.acks <- c
		c.opened <- true
	case len(payload) > 0:
		_, _ = c.sock.Write(payload) // to nobody, if the client has gone
		n.acks <- c
	}
}

func (n *null) endLocked(c *nullConn) {
	c.over = true
	delete(n.conns, c.local)
	c.room.Signal()
}

// acknowledge tells the phone what clients have got. The reader must not do it:
// it is the reader that collects what has been written.
func (n *null) acknowledge() error {
	b := make([]byte, nullHeader)
	for c := range n.acks {
		if err := n.send(c, flagACK, b); err != nil {
			return err
		}
	}
	return nil
}

var portKey = regexp.MustCompile(`<key>PortNumber</key>\s*<integer>(\d+)</integer>`)

// serve is one client: a Listen, or a Connect to the one phone.
func (n *null) serve(sock net.Conn, udid string) {
	defer sock.Close()
	b, err := message(sock)
	if err != nil {
		return
	}
	port := portKey.FindSubmatch(b)
	if port == nil { // the client waits for the phone to be announced
		answer(sock, "<key>MessageType</key><string>Result</string><key>Number</key><integer>0</integer>")
		answer(sock, "<key>MessageType</key><string>Attached</string><key>DeviceID</key><integer>1</integer>"+
			"<key>Properties</key><dict><key>SerialNumber</key><string>"+udid+"</string></dict>")
		_, _ = io.Copy(io.Discard, sock) // until it goes
		return
	}
	number, err := strconv.ParseUint(string(port[1]), 10, 16)
	if err != nil {
		return
	}
	c := &nullConn{sock: sock, remote: bits.ReverseBytes16(uint16(number)), opened: make(chan bool, 1)}
	c.room.L = &n.mu
	n.mu.Lock()
	n.last++
	c.local = n.last
	n.conns[c.local] = c
	n.mu.Unlock()
	if n.send(c, flagSYN, make([]byte, nullHeader)) != nil || !<-c.opened {
		return
	}
	answer(sock, "<key>MessageType</key><string>Result</string><key>Number</key><integer>0</integer>")
	n.carry(c)
}

// answer sends a message. A client that has gone misses nothing.
func answer(sock net.Conn, dict string) { _, _ = sock.Write(plistMessage(dict)) }

// carry sends the phone what the client writes, then resets the session.
func (n *null) carry(c *nullConn) {
	b := make([]byte, nullFrame)
	for {
		k, err := c.sock.Read(b[nullHeader:])
		flags := byte(flagACK)
		if err != nil {
			flags, k = flagRST, 0
		}
		n.mu.Lock()
		for int(c.sent-c.acked)+k > nullWindow && !c.over {
			c.room.Wait()
		}
		over := c.over
		n.mu.Unlock()
		if err := n.send(c, flags, b[:nullHeader+k]); err != nil {
			fmt.Fprintln(os.Stderr, "null:", err)
			return
		}
		if over || flags == flagRST {
			return
		}
	}
}
