package usbip

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gomuxd/virtualphone"
)

// NoPort is no preference of Attach.
const NoPort = -1

// Event is what Follow reports.
type Event struct {
	Gadget *Gadget
	Port   *Port // nil: the phone has left its port
	Err    error // why it left, or why there is no port; nil after an unplug
}

// Follow keeps the phone's cable in a port of this kernel: it attaches at each
// plug, detaches at each unplug, and plugs again after a mode switch, at the
// port of before where it can. It plugs the phone in if it is not. It returns
// at the end of ctx, with the phone unplugged, or when attach fails. report is
// called on this goroutine and may be nil; attach is [Attach] but in tests.
func (g *Gadget) Follow(ctx context.Context, attach func(Speed, int) (*Port, error), report func(Event)) error {
	w := watch(g.cfg.Phone)
	defer w.stop()
	if report == nil {
		report = func(Event) {}
	}
	phone := g.cfg.Phone
	defer phone.Unplug()
	if _, err := phone.Plug(); err != nil && !errors.Is(err, virtualphone.ErrPlugged) {
		return err
	}
	last := NoPort
	for {
		cable := w.next(ctx, nil)
		if ctx.Err() != nil {
			return nil
		}
		port, err := attach(g.cfg.Speed, last)
		if err != nil {
			err = fmt.Errorf("phone %s: %w", phone.UDID(), err)
			report(Event{Gadget: g, Err: err})
			return err
		}
		last = port.Number
		report(Event{Gadget: g, Port: port})
		serving, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			w.next(serving, cable)
			cancel()
		})
		err = g.Serve(serving, port, cable)
		unplugged := serving.Err() != nil || errors.Is(err, virtualphone.ErrUnplugged)
		cancel()
		wg.Wait()
		if unplugged {
			err = nil
		} else {
			cable.Unplug() // a mode switch, or the host has let go of the device
		}
		report(Event{Gadget: g, Err: err})
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrModeSwitch) {
			if _, err := phone.Plug(); err != nil && !errors.Is(err, virtualphone.ErrPlugged) {
				return err
			}
		}
	}
}

// watcher follows a phone's cable.
type watcher struct {
	mu      sync.Mutex // guards cable, changed, off
	cable   *virtualphone.Cable
	changed chan struct{} // closed and replaced at each change
	off     bool
}

func watch(p *virtualphone.Phone) *watcher {
	w := &watcher{changed: make(chan struct{})}
	p.Notify(w.note)
	if c := p.Cable(); c != nil {
		w.note(c)
	}
	return w
}

func (w *watcher) note(c *virtualphone.Cable) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off || w.cable == c {
		return
	}
	w.cable = c
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = true
	w.cable = nil
}

// next waits for a cable other than old. With an old one, an unplug counts too
// and gives nil. It gives nil at the end of ctx.
func (w *watcher) next(ctx context.Context, old *virtualphone.Cable) *virtualphone.Cable {
	for {
		w.mu.Lock()
		c, changed := w.cable, w.changed
		w.mu.Unlock()
		if c != old && (c != nil || old != nil) {
			return c
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
