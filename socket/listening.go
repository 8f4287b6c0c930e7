package socket

import (
	"time"

	"gomuxd/plist"
)

// listen serves a client that has sent Listen, to its end: events go out
// through a writer of their own while the handler waits for the client.
func (c *client) listen() state {
	l := &listener{
		number:    c.number,
		version:   c.version,
		identity:  c.identity,
		conn:      c.conn,
		maxEvents: c.srv.cfg.ListenerEvents,
		maxBytes:  c.srv.cfg.ListenerBytes,
		wake:      make(chan struct{}, 1),
		sees:      c.sees,
	}
	_ = c.conn.SetWriteDeadline(time.Time{}) // events may wait; the queue has its limits
	c.srv.reg.subscribe(l, appendResult(nil, c.version, c.target.tag, resultOK))
	written := make(chan struct{})
	go func() {
		defer close(written)
		if l.write() != nil {
			_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the handler
		}
	}()

	tag, spoke := c.overhear(written)
	c.srv.reg.unsubscribe(l)
	if !spoke {
		if l.dropped() {
			c.logDrop("listener does not read its events, dropped")
		}
		l.end(nil)
		c.conn.Close()
		<-written
		return closed
	}
	// A request on a listening socket is a mistake: say so, and close.
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.srv.cfg.ReplyTimeout))
	l.end(appendResult(nil, c.version, tag, resultBadCommand))
	<-written
	return c.linger()
}

// overhear waits until a listening client sends a message, whose tag it
// returns, or is gone. A client that has only shut down sending still listens.
func (c *client) overhear(written <-chan struct{}) (tag uint32, spoke bool) {
	h, ok := c.readHeader()
	if ok && h.sane() {
		body := bodies.Get().(*[4096]byte)
		_, ok = c.readBody(body[:], int(h.length)-headerSize)
		bodies.Put(body)
	}
	if ok {
		return h.tag, true
	}
	if c.raw != nil && !c.tcp && !closedByPeer(c.raw) && c.watch() {
		select {
		case <-c.hup:
		case <-written:
		}
	}
	return 0, false
}

// listenerList returns the payload of the reply to ListListeners.
func (s *Server) listenerList() ([]byte, error) {
	return plist.MarshalXML(listenerListReply{s.reg.listenerEntries()})
}

// logDrop logs why a client is dropped, and who it is.
func (c *client) logDrop(reason string) {
	c.srv.log.Warn(reason, c.who()...)
}
