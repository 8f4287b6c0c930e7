package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"go.uber.org/zap"
)

// Server serves the control API on any number of listening Unix sockets.
type Server struct {
	hub     *Hub
	actions Actions
	cfg     Config
	log     *zap.Logger

	served   *quota // connections
	refused  *quota // connections that are only told so
	streams  *quota
	captures *quota

	http *http.Server
	stop context.CancelFunc // ends every request's context
	wg   sync.WaitGroup     // Serve calls and connections

	mu     sync.Mutex // guards closed, and adding Serve calls to wg
	closed bool
}

// NewServer returns a server that shows hub and acts through actions.
func NewServer(hub *Hub, actions Actions, cfg Config) *Server {
	cfg.validate()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		hub:      hub,
		actions:  actions,
		cfg:      cfg,
		log:      cfg.Log,
		served:   newQuota(cfg.Connections),
		refused:  newQuota(16),
		streams:  newQuota(cfg.Streams),
		captures: newQuota(maxCaptures),
		stop:     cancel,
	}
	errorLog, err := zap.NewStdLogAt(cfg.Log, zap.WarnLevel)
	if err != nil {
		panic("control: " + err.Error()) // the level is a valid one
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    16 << 10,

		DisableGeneralOptionsHandler: true,
		ErrorLog:                     errorLog,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, guestKey{}, conn)
		},
		ConnState: s.connState,
	}
	return s
}

// Serve accepts clients on l until l or the server is closed, then returns nil.
// It may run for several listeners at once. Serve closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.begin() {
		return nil
	}
	defer s.wg.Done()
	err := s.http.Serve(&listener{l, s})
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("accept on %s: %w", l.Addr(), err)
}

// begin adds a Serve call to wg, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// connState counts connections: http.Server does not wait for the handlers of
// those that it closes. A connection is new before its Serve can return.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.wg.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.wg.Done()
	}
}

// Close stops accepting, ends streams, cancels what is under way, closes every
// connection and waits for all goroutines. Further calls wait as well.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	err := s.http.Close()
	s.wg.Wait()
	return err
}
