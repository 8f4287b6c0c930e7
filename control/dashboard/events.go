package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gomuxd/control"
)

const (
	pace      = 250 * time.Millisecond // between two messages, in which changes gather
	keepAlive = 15 * time.Second       // between comments, by which both ends hear of a dead one
	patience  = 10 * time.Second       // for a browser to take a message
)

// getEvents streams what changes. A slow browser gets fewer messages, not more in
// each: all are made of what is the case when it has room for one.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		fail(w, control.Errorf(control.CodeBusy, "%d pages are open: close another one", maxStreams))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // nothing more is read
	send := func(format string, args ...any) error {
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return c.Flush()
	}
	silence := time.NewTicker(keepAlive)
	defer silence.Stop()
	wait := time.NewTimer(0)
	defer wait.Stop()
	<-wait.C
	for version, changed := uint64(0), s.cfg.Observer.Changed(); ; {
		view := s.cfg.Observer.Since(version)
		version = view.Version
		data, err := json.Marshal(view)
		if err != nil {
			panic("dashboard: " + err.Error()) // all of it is ours
		}
		if send("event: view\ndata: %s\n\n", data) != nil {
			return
		}
		wait.Reset(pace)
		select {
		case <-r.Context().Done():
			return
		case <-wait.C:
		}
		for waiting := true; waiting; {
			select {
			case <-r.Context().Done():
				return
			case <-silence.C:
				if send(": still here\n\n") != nil {
					return
				}
			case <-changed:
				waiting = false
			}
		}
		changed = s.cfg.Observer.Changed()
	}
}
