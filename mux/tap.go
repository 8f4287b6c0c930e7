package mux

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Packet is one mux packet as it is on the wire.
type Packet struct {
	Time   time.Time
	Out    bool   // to the phone, else from it
	Header int    // length of the mux header in bytes: 8 or 16
	Data   []byte // from the mux header on; the session's, until the watcher returns
}

// Tap lets others watch the packets of a session, or of several after another. The
// zero value is ready. While nobody watches, a packet costs one atomic load.
type Tap struct {
	mu       sync.Mutex                      // of those who change watchers
	watchers atomic.Pointer[[]*func(Packet)] // nil for none; not changed in place
}

// Watch has fn called for every packet, in their order on the wire for each of the
// two directions, which may call at the same time. Nothing goes on meanwhile: fn must
// not wait. After stop it may be in one last call still.
func (t *Tap) Watch(fn func(Packet)) (stop func()) {
	this := &fn
	t.change(func(all []*func(Packet)) []*func(Packet) { return append(all, this) })
	return func() {
		t.change(func(all []*func(Packet)) []*func(Packet) {
			return slices.DeleteFunc(all, func(w *func(Packet)) bool { return w == this })
		})
	}
}

func (t *Tap) change(do func([]*func(Packet)) []*func(Packet)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*func(Packet)
	if p := t.watchers.Load(); p != nil {
		all = *p
	}
	all = do(slices.Clone(all))
	if len(all) == 0 {
		t.watchers.Store(nil)
		return
	}
	t.watchers.Store(&all)
}

// see is called for every packet: a whole one, or none if it is empty.
func (t *Tap) see(out bool, packet []byte) {
	if watchers := t.watchers.Load(); watchers != nil && len(packet) > 0 {
		show(*watchers, out, packet)
	}
}

func show(watchers []*func(Packet), out bool, packet []byte) {
	p := Packet{Time: time.Now(), Out: out, Header: shortHeaderLen, Data: packet}
	// In a version 1 packet these are ports, which nobody has.
	if len(packet) >= longHeaderLen && binary.BigEndian.Uint32(packet) != protoVersion && binary.BigEndian.Uint32(packet[8:]) == magic {
		p.Header = longHeaderLen
	}
	for _, fn := range watchers {
		(*fn)(p)
	}
}
