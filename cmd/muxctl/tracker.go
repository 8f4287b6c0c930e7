package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"gomuxd/control"
	"gomuxd/socket/client"
)

// tracker reaches one phone by its UDID, across replugs and restarts of the
// daemon, which give it another id each time. It needs the usbmuxd socket alone,
// so any daemon will do.
type tracker struct {
	a     *app
	phone control.Device // with its UDID
	tell  func(change string)

	mu   sync.Mutex
	id   uint32 // 0 while the phone is away
	ids  map[uint32]client.Device
	seen bool // id has been known at least once
}

func newTracker(a *app, phone control.Device, tell func(string)) *tracker {
	return &tracker{a: a, phone: phone, tell: tell, ids: map[uint32]client.Device{}}
}

// run follows the phone's comings and goings until ctx ends.
func (t *tracker) run(ctx context.Context) {
	for wait := t.a.backoff; ; wait = min(2*wait, maxBackoff) {
		err := t.listen(ctx, func() { wait = t.a.backoff })
		if ctx.Err() != nil {
			return
		}
		t.change(func() { clear(t.ids) }, t.a.advice(err))
		if !pause(ctx, wait) {
			return
		}
	}
}

func (t *tracker) listen(ctx context.Context, heard func()) error {
	s, err := t.a.usbmuxd(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Listen(ctx, func(e client.Event) error {
		heard()
		t.change(func() {
			switch {
			case e.Kind == client.Detached:
				delete(t.ids, e.Device.ID)
			case e.Kind == client.Attached && plainUDID(e.Device.UDID) == plainUDID(udidOf(t.phone)):
				t.ids[e.Device.ID] = e.Device
			}
		}, "unplugged; connections are refused until it is plugged in again")
		return nil
	})
}

// change changes what is known, and tells if the phone has come or gone by it.
func (t *tracker) change(do func(), gone string) {
	t.mu.Lock()
	old := t.id
	do()
	t.id = 0
	for id, d := range t.ids {
		if t.id == 0 || d.Connection == control.ConnectionUSB { // the cable comes first
			t.id = id
		}
	}
	now, again := t.id, t.seen
	t.seen = t.seen || now != 0
	t.mu.Unlock()
	switch {
	case old != 0 && now == 0:
		t.tell(title(t.phone) + ": " + gone)
	case old == 0 && now != 0 && again:
		t.tell(title(t.phone) + " is back")
	}
}

// connect opens a connection to a port of the phone.
func (t *tracker) connect(ctx context.Context, port uint16) (net.Conn, error) {
	s, err := t.a.usbmuxd(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	t.mu.Lock()
	id := t.id
	t.mu.Unlock()
	if id != 0 {
		conn, err := t.dial(ctx, s, id, port)
		if !errors.Is(err, syscall.ENODEV) {
			return conn, err
		}
	}
	// It may be back already, and the word of it still on its way.
	list, err := s.ListDevices(ctx)
	if err != nil {
		return nil, err
	}
	if id = pick(list, udidOf(t.phone)); id == 0 {
		return nil, codef(exitNoSuch, "%s is not plugged in: plug it in and connect again", title(t.phone))
	}
	return t.dial(ctx, s, id, port)
}

func (t *tracker) dial(ctx context.Context, s usbmuxd, id uint32, port uint16) (net.Conn, error) {
	conn, err := within(ctx, t.a.act, func(ctx context.Context) (net.Conn, error) { return s.Connect(ctx, id, port) })
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, codef(exitRefused, "connection refused by the phone: nothing listens on port %d there: start what should, or correct the number", port)
	}
	return conn, err
}

// pick returns the id of a phone in a list, by cable if it can be, or 0.
func pick(list []client.Device, udid string) (id uint32) {
	for _, d := range list {
		if plainUDID(d.UDID) == plainUDID(udid) && (id == 0 || d.Connection == control.ConnectionUSB) {
			id = d.ID
		}
	}
	return id
}
