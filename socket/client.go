package socket

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
)

// state is where a client stands; see the drawing in the package comment.
type state uint8

const (
	command    state = iota // reading requests
	listening               // gets events; a request is a mistake
	connecting              // a device is being dialled
	connected               // bytes only
	closed                  // nothing more to do but close
)

// client is one client's connection. Its fields belong to its handler's
// goroutine unless said otherwise.
type client struct {
	srv    *Server
	number uint64
	conn   net.Conn        // Server.Close closes it, too
	raw    syscall.RawConn // of the socket below; nil if there is none
	tcp    bool            // a close cannot be told from a half-close

	gate *access.Gate // nil for no rules

	peer    access.Peer
	guest   *access.Guest // nil for one who may do everything
	crowded bool          // one too many
	user    uint32        // whom it counts for, whoever TLS says it is
	large   bool          // it counts as one with large buffers

	state    state
	version  uint32 // of replies: binary until the first property list
	identity identity
	header   [headerSize]byte

	peerClosed bool // its socket is over in both directions: nobody sees its close
	shut       bool // its socket is closed, or will be

	target target // in connecting and connected

	mu      sync.Mutex         // guards the fields below, also used by hungUp and abort
	gone    bool               // the other end has closed, or this one is closing
	watched bool               // hungUp will be called
	hup     chan struct{}      // made by watch, closed when gone
	cancel  context.CancelFunc // in connecting: ends the Dial
	device  Conn               // in connected: the device's end
	flush   *flush             // in connected, once gone: ends device
}

// target is what a client connects to.
type target struct {
	entry *entry // to be released
	port  uint16
	tag   uint32
	conn  Conn // from a Dial that worked
}

func newClient(s *Server, conn net.Conn, number uint64, gate *access.Gate) *client {
	_, tcp := below(conn).(*net.TCPConn)
	c := &client{srv: s, number: number, conn: conn, raw: rawConn(below(conn)), tcp: tcp, gate: gate}
	if t := secured(conn); t != nil {
		c.admit(t.Conn) // as somebody; handshake says who
	} else {
		c.admit(conn)
	}
	return c
}

// admit notes who the client is.
func (c *client) admit(conn net.Conn) {
	if c.gate == nil {
		c.peer = access.PeerOf(conn)
		return
	}
	c.guest = c.gate.Admit(conn)
	c.peer = c.guest.Peer
}

// run serves the client until it is connected or closed, which it returns.
func (c *client) run() state {
	if !c.handshake() {
		return closed
	}
	if c.crowded {
		c.turnAway()
		return closed
	}
	for {
		switch c.state {
		case command:
			c.state = c.serve()
		case listening:
			c.state = c.listen()
		case connecting:
			c.state = c.connect()
		default:
			return c.state
		}
	}
}

func (c *client) close() {
	c.mu.Lock()
	watched := c.watched
	c.mu.Unlock()
	if watched {
		c.srv.hangups.forget(c)
	}
	c.closeSocket()
}

// closeSocket closes the socket, now if its other end is open.
func (c *client) closeSocket() {
	if c.shut {
		return
	}
	c.shut = true
	if !c.peerClosed && c.raw != nil {
		c.peerClosed = closedByPeer(c.raw)
	}
	if c.peerClosed {
		c.srv.closer.add(c.conn)
		return
	}
	c.conn.Close()
}

// watch makes hungUp be called from now on, which costs a few calls: it is for those
// who wait for something other than the client. It reports false if hang-ups cannot be
// told for this client.
func (c *client) watch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watchLocked()
}

func (c *client) watchLocked() bool {
	if c.watched {
		return true
	}
	if c.hup == nil {
		c.hup = make(chan struct{})
		if c.gone {
			close(c.hup)
		}
	}
	if c.raw == nil || c.gone {
		return false
	}
	if err := c.srv.hangups.watch(c); err != nil {
		c.srv.log.Warn("client's hang-up will go unseen", zap.Uint64("conn", c.number), zap.Error(err))
		return false
	}
	c.watched = true
	return true
}

// hungUp is told by hangups that the other end has closed its socket (full) or
// shut down sending. It does not block.
func (c *client) hungUp(full bool) {
	// While connecting, a TCP client that sends nothing and has shut down is
	// taken for gone: nobody asks for a connection like that.
	// Of TLS, what it sent may have been read already.
	if !full && (!c.tcp || secured(c.conn) != nil || unread(c.raw) > 0) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case full:
		c.goneLocked()
	case c.cancel != nil:
		c.cancel()
	}
}

// goneLocked marks the end of the client and ends what waits for its doing.
func (c *client) goneLocked() {
	if c.gone {
		return
	}
	c.gone = true
	if c.hup != nil {
		close(c.hup)
	}
	if c.cancel != nil {
		c.cancel()
	}
	if c.device != nil {
		c.flush = startFlush(c.device, c.srv.cfg.FlushTimeout)
	}
}

// abort ends the client at once, whatever it is doing. It does not block and
// may be called from any goroutine.
func (c *client) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goneLocked()
	if c.device != nil {
		c.device.Close()
	}
	below(c.conn).Close() // TLS would say goodbye, and wait
}

// bodies lends the memory for one request's payload. Longer payloads grow out
// of it as their bytes arrive: an announced length alone costs nothing.
var bodies = sync.Pool{New: func() any { return new([4096]byte) }}

// readHeader waits for the next header. It reports false at the client's end.
func (c *client) readHeader() (header, bool) {
	if _, err := io.ReadFull(c.conn, c.header[:]); err != nil {
		return header{}, false
	}
	return decodeHeader(&c.header), true
}

// readBody reads n bytes of payload, beginning in buf.
func (c *client) readBody(buf []byte, n int) ([]byte, bool) {
	for have := 0; have < n; {
		if have == len(buf) {
			buf = append(buf, make([]byte, min(len(buf), n-have))...)
		}
		m, err := io.ReadFull(c.conn, buf[have:min(len(buf), n)])
		if err != nil {
			return nil, false
		}
		have += m
	}
	return buf[:n], true
}

// serve reads and answers one request and returns the next state.
func (c *client) serve() state {
	h, ok := c.readHeader()
	if !ok {
		return closed
	}
	if h.message == msgPlist && h.version <= versionPlist {
		c.version = versionPlist
	}
	if !h.sane() {
		// What follows cannot be told apart any more.
		c.result(h.tag, resultBadCommand)
		return c.linger()
	}
	body := bodies.Get().(*[4096]byte)
	defer bodies.Put(body)
	payload, ok := c.readBody(body[:], int(h.length)-headerSize)
	switch {
	case !ok:
		return closed
	case h.version > versionPlist:
		return c.result(h.tag, resultBadVersion)
	case h.message != msgPlist:
		return c.answer(decodeBinaryRequest(h.message, payload), h.tag)
	}
	r, ok := decodePlistRequest(payload)
	if !ok {
		return c.result(h.tag, resultBadCommand)
	}
	c.identity = r.identity
	return c.answer(r, h.tag)
}

// answer carries out one request and returns the next state.
func (c *client) answer(r request, tag uint32) state {
	if c.crowded {
		number := uint32(resultBadCommand)
		if r.verb == cmdConnect {
			number = resultRefused
		}
		c.result(tag, number)
		return c.linger()
	}
	switch r.verb {
	case cmdListen:
		c.target.tag = tag
		return listening
	case cmdConnect:
		return c.locate(r, tag)
	case cmdListDevices:
		list, err := c.srv.reg.deviceList(c.sees)
		return c.data(tag, list, err)
	case cmdListListeners:
		list, err := c.srv.listenerList()
		return c.data(tag, list, err)
	case cmdReadBUID, cmdReadPairRecord, cmdSavePairRecord, cmdDeletePairRecord:
		payload, number := c.record(&r)
		if payload == nil {
			return c.result(tag, number)
		}
		return c.data(tag, payload, nil)
	}
	return c.result(tag, resultBadCommand)
}

// locate finds the device that a Connect names.
func (c *client) locate(r request, tag uint32) state {
	switch {
	case !r.hasID:
		return c.result(tag, resultBadDevice)
	case !r.hasPort:
		return c.result(tag, resultBadCommand)
	}
	e := c.srv.reg.acquire(r.deviceID)
	switch {
	case e == nil:
		return c.result(tag, resultBadDevice)
	case !c.sees(e):
		c.srv.reg.release(e)
		return c.result(tag, resultBadDevice)
	case !c.may(access.Connect, e.named(), r.port),
		r.port == 0: // no device listens there: what its reset would say
		c.srv.reg.release(e)
		return c.result(tag, resultRefused)
	}
	c.target = target{entry: e, port: r.port, tag: tag}
	return connecting
}

// watchDial is how long a device may take to answer before the client that waits is
// watched. One that hangs up earlier leaves a connection that ends at once.
const watchDial = 50 * time.Millisecond

// connect dials the target. What the client sends meanwhile stays in its
// socket, for the device.
func (c *client) connect() state {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	if c.gone {
		cancel()
	}
	c.mu.Unlock()
	slow := time.AfterFunc(watchDial, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cancel != nil {
			c.watchLocked()
		}
	})

	conn, err := c.dial(ctx)
	slow.Stop()

	if err == nil && ctx.Err() != nil {
		conn.Close()
		err = ctx.Err()
	}
	c.mu.Lock()
	c.cancel = nil
	gone := c.gone
	if err == nil && !gone {
		c.device = conn
	}
	c.mu.Unlock()

	if ce := c.srv.log.Check(zap.DebugLevel, "connect"); ce != nil {
		ce.Write(zap.Uint64("conn", c.number), zap.Uint32("device_id", c.target.entry.ID),
			zap.Uint16("port", c.target.port), zap.Bool("large", c.large), zap.Bool("gone", gone), zap.Error(err))
	}
	switch {
	case gone:
		if err == nil {
			conn.Close()
		}
		c.srv.giveLarge(c)
		c.untarget()
		return closed
	case err != nil:
		c.srv.giveLarge(c)
		next := c.result(c.target.tag, resultRefused)
		c.untarget() // after the Result, so that Detached follows it
		return next
	}
	c.target.conn = conn
	if c.result(c.target.tag, resultOK) != command {
		c.leave()
		return closed
	}
	return connected
}

// dial opens the connection to the target's device, with large buffers as long as
// others leave some.
func (c *client) dial(ctx context.Context) (Conn, error) {
	device := c.target.entry.device
	if !c.srv.takeLarge(c) {
		if d, ok := device.(interface {
			DialSmall(ctx context.Context, port uint16) (Conn, error)
		}); ok {
			return d.DialSmall(ctx, c.target.port)
		}
	}
	return device.Dial(ctx, c.target.port)
}

// untarget releases the target's device.
func (c *client) untarget() {
	c.srv.reg.release(c.target.entry)
	c.target = target{}
}

// replies lends the memory in which a reply is put together.
var replies = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// result answers with a Result and stays in command state if the client took it.
func (c *client) result(tag, number uint32) state {
	buf := replies.Get().(*[]byte)
	*buf = appendResult((*buf)[:0], c.version, tag, number)
	return c.send(buf)
}

// data answers with a property list, or a Result if that could not be made.
func (c *client) data(tag uint32, payload []byte, err error) state {
	if err != nil {
		c.srv.log.Error("no reply for a client", zap.Uint64("conn", c.number), zap.Error(err))
		return c.result(tag, resultBadCommand)
	}
	buf := replies.Get().(*[]byte)
	*buf = appendPlist((*buf)[:0], tag, payload)
	return c.send(buf)
}

// send writes one whole message in one call and gives buf back. A client that
// does not take it in time is dropped.
func (c *client) send(buf *[]byte) state {
	var err error
	if n := c.tryWrite(*buf); n < len(*buf) {
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.srv.cfg.ReplyTimeout))
		_, err = c.conn.Write((*buf)[n:])
		_ = c.conn.SetWriteDeadline(time.Time{})
	}
	if cap(*buf) <= maxMessage {
		replies.Put(buf)
	}
	if err == nil {
		return command
	}
	if os.IsTimeout(err) {
		c.logDrop("client does not read its reply, dropped")
	}
	return closed
}

// tryWrite writes what the socket takes at once, if it can be told.
func (c *client) tryWrite(b []byte) int {
	if u, ok := c.conn.(*unixConn); ok {
		return u.tryWrite(b)
	}
	return 0
}

// lingerTime bounds how long a socket stays open for the other end to read what
// it was sent last.
const lingerTime = time.Second

// linger ends the client so that it still reads its last reply.
func (c *client) linger() state {
	linger(c.conn)
	return closed
}

// linger shuts down sending and discards what still arrives until the other end
// closes, so that what it was sent last is not lost to a reset.
func linger(conn net.Conn) {
	cw, ok := conn.(interface{ CloseWrite() error })
	if !ok || cw.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime))
	discard(conn)
}

// discard reads until an error.
func discard(conn net.Conn) {
	body := bodies.Get().(*[4096]byte)
	defer bodies.Put(body)
	for {
		if _, err := conn.Read(body[:]); err != nil {
			return
		}
	}
}
