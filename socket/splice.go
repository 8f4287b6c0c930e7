package socket

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pipe is the connected phase of one client.
type pipe struct {
	client *client
	conn   Conn

	// Each direction's end is noted before the other's is looked at, so that
	// one of the two copies always sees that both are over.
	clientEOF atomic.Bool // the client has shut down sending
	deviceFIN atomic.Bool // the device has

	upOver, downOver chan struct{} // closed at the end of up, of fromDevice

	silence silence // TCP after clientEOF: closes conn
}

// splice copies in both directions until it is over: to the device by itself; for
// what comes from there a goroutine is started when it is needed, and waited for.
func (c *client) splice() {
	defer c.leave()
	conn := c.target.conn
	p := &pipe{client: c, conn: conn, upOver: make(chan struct{}), downOver: make(chan struct{})}
	stop := p.forward()
	gone := p.up()
	unneeded := stop() // before Close, which would start it
	conn.Close()
	close(p.upOver)
	if !unneeded {
		<-p.downOver
	}
	p.silence.end()
	if !gone {
		c.finish()
	}
}

// leave ends a connected client.
func (c *client) leave() {
	c.endDevice()
	c.srv.giveLarge(c)
	c.closeSocket()
	c.untarget() // last, so that Detached follows the client's EOF
}

// forward begins the copy from the device, in a goroutine if conn cannot do without.
// stop prevents that; it reports false if there is, or was, one.
func (p *pipe) forward() (stop func() bool) {
	if f, ok := p.conn.(interface {
		Forward(w io.Writer, rest func()) (stop func() bool)
	}); ok {
		return f.Forward(p.writer(), p.fromDevice)
	}
	go p.fromDevice()
	return func() bool { return false }
}

// fromDevice copies from the device to the client, and then ends both.
func (p *pipe) fromDevice() {
	defer close(p.downOver)
	c := p.client
	if u, ok := c.conn.(*unixConn); ok {
		_ = u.SetWriteBuffer(socketBuffer) // as much as the system allows
	}
	if p.down() == nil && !reset(p.conn) {
		// A FIN: the client may go on sending, unless it has ended as well.
		closeWrite(c.conn)
		if !p.clientEOF.Load() {
			select {
			case <-p.upOver:
			case <-done(p.conn):
			case <-c.target.entry.left:
			}
		}
	}
	p.conn.Close()
	c.stopReading()
}

// socketBuffer is what is asked for as the send buffer of a Unix client that is slower
// than its device, in bytes; TCP sizes its own.
const socketBuffer = 256 << 10

// up copies from the client to the device, then waits until the client is gone
// for good. It reports whether the client has closed its socket, as far as can be
// told: once both sides have shut down sending, that looks the same.
func (p *pipe) up() (gone bool) {
	c := p.client
	if w, ok := p.conn.(interface{ BeforeWait(f func()) }); ok {
		w.BeforeWait(func() { c.watch() }) // meanwhile nobody reads
	} else {
		c.watch()
	}
	err := copyTo(p.conn, c.conn)
	switch {
	case c.raw != nil && closedByPeer(c.raw):
		c.peerClosed = true
		return !p.deviceFIN.Load() // what it sent has been written
	case !c.watch() && err == nil:
		return false // a half-close could not be told from a close
	case err == nil:
		p.clientEOF.Store(true)
		_ = p.conn.CloseWrite()
		if c.tcp {
			p.silence.begin(c.srv.cfg.HalfClosed, func() { p.conn.Close() })
		}
	}
	if p.deviceFIN.Load() {
		return false
	}
	// Half-closed, or the device takes no more: its data still flows.
	<-c.hup
	return false
}

// down copies from the device to the client. It returns nil if the device ended
// the connection and the client took everything. If the client takes no more,
// the device's data is discarded while what the client had sent goes up.
func (p *pipe) down() error {
	err := copyFrom(p.writer(), p.conn)
	if err != nil {
		if !p.client.watch() { // nobody else notices if the client is gone
			f := startFlush(p.conn, p.client.srv.cfg.FlushTimeout)
			defer f.stop()
		}
		_ = copyFrom(io.Discard, p.conn)
		return err
	}
	p.deviceFIN.Store(true) // or a reset; before reset is asked
	return nil
}

// writer is where the device's data goes: to the client.
func (p *pipe) writer() io.Writer {
	if p.client.tcp {
		return (*tcpWriter)(p)
	}
	return p.client.conn
}

// reset reports whether the device ended conn with a reset.
func reset(conn Conn) bool {
	r, ok := conn.(interface{ Reset() bool })
	return !ok || r.Reset()
}

// done is closed when the device's connection is over in both directions; nil,
// which never is, if conn cannot tell.
func done(conn Conn) <-chan struct{} {
	if d, ok := conn.(interface{ Done() <-chan struct{} }); ok {
		return d.Done()
	}
	return nil
}

func closeWrite(conn net.Conn) {
	if cw, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite() // fails if the client has closed
	}
}

// stopReading makes the copy to the device return.
func (c *client) stopReading() {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket
	c.mu.Lock()
	c.device = nil // closed already
	c.goneLocked()
	c.mu.Unlock()
}

// endDevice forgets the device's end of the connection.
func (c *client) endDevice() {
	c.target.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.device = nil
	if c.flush != nil {
		c.flush.stop()
	}
}

// finish ends the client's socket in both directions such that everything
// written is still read, and then EOF: a socket closed with unread input gives
// its peer an error instead.
func (c *client) finish() {
	_ = c.conn.SetReadDeadline(time.Time{})
	u, ok := c.conn.(*unixConn)
	if !ok {
		c.linger()
		return
	}
	_ = u.CloseWrite()
	if u.CloseRead() == nil { // the client cannot send any more: this ends
		discard(u)
	}
}

// silence ends the connection of a half-closed client when the device has been
// silent for a while. Time spent writing to the client does not count.
type silence struct {
	mu      sync.Mutex // guards all below
	timer   *time.Timer
	limit   time.Duration
	writing bool
	over    bool
}

func (s *silence) begin(limit time.Duration, expired func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.limit = limit
	s.timer = time.AfterFunc(limit, expired)
	if s.writing {
		s.timer.Stop()
	}
}

// write notes the start or the end of a write to the client.
func (s *silence) write(starts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = starts
	switch {
	case s.timer == nil || s.over:
	case starts:
		s.timer.Stop()
	default:
		s.timer.Reset(s.limit)
	}
}

func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// tcpWriter is the client's side of a pipe over TCP.
type tcpWriter pipe

func (w *tcpWriter) Write(b []byte) (int, error) {
	w.silence.write(true)
	defer w.silence.write(false)
	return w.client.conn.Write(b)
}

// buffers lends the memory for copies with a Conn that brings none of its own.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// copyTo copies from src to conn until EOF, which is nil, or an error.
func copyTo(conn Conn, src net.Conn) error {
	if rf, ok := conn.(io.ReaderFrom); ok {
		_, err := rf.ReadFrom(src)
		return err
	}
	return copyPlain(conn, src)
}

// copyFrom copies from conn to dst until EOF, which is nil, or an error.
func copyFrom(dst io.Writer, conn Conn) error {
	if wt, ok := conn.(io.WriterTo); ok {
		_, err := wt.WriteTo(dst)
		return err
	}
	return copyPlain(dst, conn)
}

func copyPlain(dst io.Writer, src io.Reader) error {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
