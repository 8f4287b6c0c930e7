package control

import (
	"context"
	"net"
	"sync"

	"go.uber.org/zap"

	"gomuxd/access"
)

// listener accepts clients within the server's limits, and notes who they are.
type listener struct {
	net.Listener
	srv *Server
}

// guest is an accepted connection.
type guest struct {
	net.Conn
	peer  *access.Guest
	busy  bool // one too many: every request is refused, kindly
	leave func()
	once  sync.Once
}

// Accept waits for the next client that finds a place.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := l.srv.admit(conn); g != nil {
			return g, nil
		}
		conn.Close()
	}
}

// admit finds a place for conn: among the served, else among the few who are
// told that the house is full. It returns nil if both are taken.
func (s *Server) admit(conn net.Conn) *guest {
	peer := s.cfg.Gate.Guest(s.cfg.Peer(conn))
	g := &guest{Conn: conn, peer: peer}
	for _, q := range []*quota{s.served, s.refused} {
		if q.take(peer) {
			g.busy = q == s.refused
			g.leave = func() { q.give(peer) }
			return g
		}
	}
	s.log.Warn("too many connections, refused", zap.Int32("pid", peer.PID), zap.Uint32("uid", peer.UID))
	return nil
}

func (g *guest) Close() error {
	g.once.Do(g.leave)
	return g.Conn.Close()
}

type guestKey struct{}

// guestOf returns the connection that a request came by.
func guestOf(ctx context.Context) *guest {
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}
