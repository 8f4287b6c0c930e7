package socket

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
)

// Server serves clients on any number of listening sockets.
type Server struct {
	reg *Registry
	cfg Config
	log *zap.Logger

	audit *zap.Logger // who did what with records, who was refused

	closer   closer
	accepted atomic.Uint64 // clients so far; the next one's number
	calls    chan struct{} // holds a token per running call of Records
	done     chan struct{} // closed by Close
	wg       sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	closed    bool
	hangups   *hangups // made by the first Serve; read-only from then on
	listeners map[net.Listener]struct{}
	clients   map[*client]struct{}
	shaking   int // clients in their TLS handshake
	large     int // clients whose connections have large buffers
	users     map[uint32]tally
}

// NewServer returns a server for the devices of reg.
func NewServer(reg *Registry, cfg Config) *Server {
	cfg.validate()
	return &Server{
		reg:       reg,
		cfg:       cfg,
		log:       cfg.Log,
		audit:     cfg.Log.Named("audit"),
		calls:     make(chan struct{}, cfg.RecordCalls),
		done:      make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		clients:   make(map[*client]struct{}),
		users:     make(map[uint32]tally),
	}
}

// Back-off after an accept that failed for want of resources.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Serve accepts clients on l until l or the server is closed, then returns nil.
// What they may do is the gate's say; with nil it is everything. Serve may run for
// several listeners at once. Want of file descriptors or memory does not end it:
// clients wait in the backlog meanwhile. Serve closes l.
func (s *Server) Serve(l net.Listener, gate *access.Gate) error {
	defer l.Close()
	if ok, err := s.addListener(l); !ok {
		return err
	}
	defer s.removeListener(l)

	var backoff time.Duration // 0 while accept works
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			backoff = 0
			s.start(conn, gate)
		case errors.Is(err, net.ErrClosed):
			return nil
		case transient(err):
			if backoff == 0 {
				s.log.Warn("cannot accept clients for now", zap.Stringer("addr", l.Addr()), zap.Error(err))
			}
			s.closer.flush() // some may be to be had back
			backoff = min(max(2*backoff, minBackoff), maxBackoff)
			select {
			case <-time.After(backoff):
			case <-s.done:
				return nil
			}
		default:
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
	}
}

// transient reports whether an error of accept concerns one connection or a
// shortage, and not the listening socket. Source: accept(2).
func transient(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPERM, syscall.EPROTO,
		syscall.EINTR, syscall.EAGAIN, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENONET, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP:
		return true
	}
	return false
}

// start runs the handler of a new client. Close waits for it. A client too many is
// served one refusal, as long as there are not too many of those; over TLS, where that
// would cost a handshake, it is not.
func (s *Server) start(conn net.Conn, gate *access.Gate) {
	c := newClient(s, conn, s.accepted.Add(1)-1, gate)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.user = c.peer.UID
	t, secure := s.users[c.user], secured(conn) != nil
	switch n := len(s.clients); {
	case s.closed, n >= s.cfg.Clients+s.cfg.Clients/8+1:
		below(conn).Close()
		return
	case n >= s.cfg.Clients, c.user != 0 && t.all >= s.cfg.UserClients, secure && s.shaking >= s.cfg.Handshakes:
		if secure {
			s.log.Warn(tooMany, c.who()...)
			below(conn).Close()
			return
		}
		c.crowded = true
	}
	if secure {
		s.shaking++ // until handshake
	}
	t.all++
	s.users[c.user] = t
	s.clients[c] = struct{}{}
	s.wg.Go(func() {
		if c.run() == connected {
			s.wg.Go(func() { // a silent one needs half the stack that its requests needed
				c.splice()
				s.forget(c)
			})
			return
		}
		s.forget(c)
	})
}

// forget ends a client that has been served.
func (s *Server) forget(c *client) {
	c.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	t := s.users[c.user]
	if t.all--; t.all == 0 {
		delete(s.users, c.user)
		return
	}
	s.users[c.user] = t
}

// Close stops accepting, closes every client's socket and waits for all
// goroutines. Connections to devices are closed gracefully. Further calls wait
// as well.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		for l := range s.listeners {
			l.Close()
		}
		for c := range s.clients {
			c.abort()
		}
	}
	s.mu.Unlock()
	s.wg.Wait() // from here on nothing is started
	s.closer.flush()
	if s.hangups != nil {
		s.hangups.close()
	}
	return nil
}

// addListener reports false if the server is closed or cannot serve. Close
// waits for the Serve of a listener that was added.
func (s *Server) addListener(l net.Listener) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	if s.hangups == nil {
		h, err := newHangups()
		if err != nil {
			return false, err
		}
		s.hangups = h
	}
	s.listeners[l] = struct{}{}
	s.wg.Add(1)
	return true, nil
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	s.wg.Done()
}
