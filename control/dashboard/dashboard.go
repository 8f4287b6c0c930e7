package dashboard

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"gomuxd/control"
	"gomuxd/control/observer"
)

// Actor does what an operator orders; a control.Client is one.
type Actor interface {
	Trust(ctx context.Context, ref string, req control.TrustRequest) (control.Device, error)
	Reset(ctx context.Context, ref string) (control.Device, error)
	Reopen(ctx context.Context, ref string) (control.Device, error)
}

// Config is what a Server shows and to whom.
type Config struct {
	Observer *observer.Observer
	Actor    Actor
	Token    string       // of those who may act; empty: nobody may
	Hosts    []string     // names by which browsers may call, besides localhost and addresses
	Metrics  http.Handler // nil: none
}

// maxStreams is how many pages are kept up to date at the same time.
const maxStreams = 64

// Server is the page and what it asks for.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	foreign *http.CrossOriginProtection
	streams chan struct{} // a token for each stream
}

// New returns a Server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection(), streams: make(chan struct{}, maxStreams)}
	s.handlePages()
	s.mux.HandleFunc("GET /api/events", s.getEvents)
	s.mux.HandleFunc("GET /api/state", s.getState)
	s.mux.HandleFunc("GET /api/session", s.getSession)
	s.mux.HandleFunc("POST /api/phones/{phone}/trust", s.action("Asked to trust this computer.",
		func(ctx context.Context, ref string) (control.Device, error) {
			return cfg.Actor.Trust(ctx, ref, control.TrustRequest{})
		}))
	s.mux.HandleFunc("POST /api/phones/{phone}/reset", s.action("", func(ctx context.Context, ref string) (control.Device, error) {
		return cfg.Actor.Reset(ctx, ref)
	}))
	s.mux.HandleFunc("POST /api/phones/{phone}/reopen", s.action("", func(ctx context.Context, ref string) (control.Device, error) {
		return cfg.Actor.Reopen(ctx, ref)
	}))
	if cfg.Metrics != nil {
		s.mux.Handle("GET /metrics", cfg.Metrics)
	}
	return s
}

// headers go with every answer.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), usb=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	if !s.known(r) {
		fail(w, &control.Error{Status: http.StatusMisdirectedRequest, Code: control.CodeForbidden,
			Message: "this is not called " + clip(r.Host) + ": use the address that muxctl serve prints, or start it with --host NAME"})
		return
	}
	if err := s.foreign.Check(r); err != nil {
		fail(w, control.Errorf(control.CodeForbidden, "no other page may do this: use the dashboard's own"))
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) getState(w http.ResponseWriter, _ *http.Request) { answer(w, s.cfg.Observer.Since(0)) }

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) {
	answer(w, struct {
		Actions bool `json:"actions"`
	}{s.trusted(r)})
}

// trusted reports whether a request has the token.
func (s *Server) trusted(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.Token)) == 1
}

// action has the daemon do something with a phone, and notes that in the log if done
// says so; recoveries are there anyway.
func (s *Server) action(done string, do func(ctx context.Context, ref string) (control.Device, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.trusted(r) {
			fail(w, control.Errorf(control.CodeForbidden,
				"this page may only look: open it by the link that \"muxctl serve --actions\" prints, which has the right to act"))
			return
		}
		d, err := do(r.Context(), r.PathValue("phone"))
		if err != nil {
			fail(w, err)
			return
		}
		if done == "" {
			answer(w, d)
			return
		}
		s.cfg.Observer.Note("action", observer.KeyOf(d), observer.Pending, done)
		answer(w, d)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the reader has gone
}

func fail(w http.ResponseWriter, err error) {
	var e *control.Error
	if !errors.As(err, &e) {
		e = control.Errorf(control.CodeFailed, "%v", err)
		if errors.Is(err, control.ErrNoDaemon) {
			e.Status = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}

// clip makes what a stranger sent fit for a sentence.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s) + `"`
}
