package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
)

// stream writes one client's events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	sees    func(Device) bool // what it is told of
	buf     []byte            // reused
	id      uint64            // of the last event
}

// getEvents streams the devices, Ready, and what changes, until the client or
// the server goes or the client does not keep up.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	peer := guestOf(r.Context()).peer
	if !s.streams.take(peer) {
		return nil, Errorf(CodeBusy, "too many streams of events are open: end another one, as muxctl watch")
	}
	defer s.streams.give(peer)

	began := now()
	devices, sub := s.hub.Subscribe()
	defer sub.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &stream{w: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout}
	out.sees = sees(r)
	err := out.run(r.Context().Done(), began, devices, sub, s.cfg.KeepAlive)
	var slow *Error
	if errors.As(err, &slow) || errors.Is(err, os.ErrDeadlineExceeded) {
		s.log.Warn("client does not read its events, dropped", zap.Int32("pid", peer.PID), zap.Uint32("uid", peer.UID), zap.Error(err))
	}
	return nil, nil
}

func (o *stream) run(done <-chan struct{}, began time.Time, devices []Device, sub *Subscription, keepAlive time.Duration) error {
	for _, d := range devices {
		if !o.sees(d) {
			continue
		}
		o.add(DeviceAdded, Event{DeviceAdded, d, began})
	}
	o.add(Ready, struct{}{})
	if err := o.flush(); err != nil {
		return err
	}
	silence := time.NewTimer(keepAlive)
	defer silence.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-silence.C:
			o.buf = appendComment(o.buf, "keep-alive")
		case e, ok := <-sub.Events():
			if !ok {
				return o.end(sub.Err())
			}
			if !o.sees(e.Device) {
				continue
			}
			o.add(e.Type, e)
		}
		if err := o.flush(); err != nil {
			return err
		}
		silence.Reset(keepAlive)
	}
}

func (o *stream) add(kind EventType, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic("control: " + err.Error()) // all events are ours
	}
	o.id++
	o.buf = appendMessage(o.buf, o.id, string(kind), b)
}

// end tells the client why nothing more comes.
func (o *stream) end(cause error) error {
	if cause == nil {
		return nil
	}
	o.add(streamError, asError(cause))
	return errors.Join(cause, o.flush())
}

// flush writes what was added, and waits until the client's socket has room for
// it, or drops the client.
func (o *stream) flush() error {
	_ = o.control.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	if err != nil {
		return err
	}
	return o.control.Flush()
}
