package bus

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"

	"gomuxd/virtualphone"
)

// Event is a plug, an unplug, or the end of what was plugged in from the start.
type Event struct {
	Scanned bool   `json:"scanned,omitempty"` // all before this was there already; the rest is empty
	Plugged bool   `json:"plugged,omitempty"` // or unplugged
	Port    int    `json:"port,omitempty"`    // from 1, the same at each plug of one phone
	Plug    int    `json:"plug,omitempty"`    // names this plugged period among all of the bus
	Serial  string `json:"serial,omitempty"`
	UDID    string `json:"udid,omitempty"`
}

// request is the first line of a connection.
type request struct {
	Watch bool   `json:"watch,omitempty"`
	Claim string `json:"claim,omitempty"` // serial
	Reset string `json:"reset,omitempty"` // serial; answered with a line, empty or an error
	Plug  int    `json:"plug,omitempty"`
}

// maxPacket bounds what a host may send in one piece, in bytes; the phone judges
// what is below.
const maxPacket = 1 << 20

// Bus has phones plugged into it.
type Bus struct {
	mu       sync.Mutex // guards all below
	plugs    int
	plugged  map[int]plugged // by port
	watchers map[*watcher]struct{}
}

type plugged struct {
	Event
	cable *virtualphone.Cable
}

// watcher is the queue of a connection that watches.
type watcher struct {
	queue []Event       // guarded by Bus.mu
	ring  chan struct{} // capacity 1: queue has grown
}

// New makes a bus of phones that are not plugged in yet: each plug is into it.
func New(phones []*virtualphone.Phone) *Bus {
	b := &Bus{plugged: make(map[int]plugged), watchers: make(map[*watcher]struct{})}
	for i, p := range phones {
		p.Notify(func(c *virtualphone.Cable) { b.note(i+1, p, c) })
	}
	return b
}

// Serve shows the bus to whoever connects to l until ctx ends, which returns nil,
// or l fails. It closes l and waits for the connections; the phones stay.
func (b *Bus) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("bus: %w", err)
		}
		wg.Go(func() { b.serve(ctx, c) })
	}
}

// note tells the watchers that a phone is plugged in, or with a nil cable that it
// is not any more.
func (b *Bus) note(port int, p *virtualphone.Phone, c *virtualphone.Cable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.plugged[port]
	if c == nil {
		delete(b.plugged, port)
		now.Plugged = false
	} else {
		b.plugs++
		now = plugged{Event{Plugged: true, Port: port, Plug: b.plugs, Serial: p.Serial(), UDID: p.UDID()}, c}
		b.plugged[port] = now
	}
	for w := range b.watchers {
		w.queue = append(w.queue, now.Event)
		select {
		case w.ring <- struct{}{}:
		default:
		}
	}
}

// serve handles one connection.
func (b *Bus) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	r := bufio.NewReader(c)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return
	}
	var m request
	if err := json.Unmarshal(line, &m); err != nil {
		return
	}
	switch {
	case m.Watch:
		b.watch(ctx, c)
	case m.Reset != "":
		b.reset(c, m)
	default:
		b.claim(c, r, m)
	}
}

func (b *Bus) watch(ctx context.Context, c net.Conn) {
	w := &watcher{ring: make(chan struct{}, 1)}
	b.mu.Lock()
	for _, p := range slices.SortedFunc(maps.Values(b.plugged), func(x, y plugged) int { return cmp.Compare(x.Port, y.Port) }) {
		w.queue = append(w.queue, p.Event)
	}
	w.queue = append(w.queue, Event{Scanned: true})
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}()

	ctx, cancel := context.WithCancel(ctx)
	var gone sync.WaitGroup
	gone.Go(func() {
		_, _ = c.Read(make([]byte, 1)) // a watcher says nothing more: this is its end
		cancel()
	})
	defer gone.Wait()
	defer c.Close()
	for out := json.NewEncoder(c); ; {
		b.mu.Lock()
		queue := w.queue
		w.queue = nil
		b.mu.Unlock()
		for _, ev := range queue {
			if out.Encode(ev) != nil {
				return
			}
		}
		select {
		case <-w.ring:
		case <-ctx.Done():
			return
		}
	}
}

// claim is a pipe until either side ends it.
func (b *Bus) claim(c net.Conn, r *bufio.Reader, m request) {
	cable := b.find(m.Claim, m.Plug)
	if cable == nil {
		return
	}
	pipe := cable.Pipe()
	var in sync.WaitGroup
	in.Go(func() {
		defer c.Close() // the cable was pulled
		_, _ = io.Copy(c, pipe)
	})
	defer in.Wait()
	defer pipe.Close()
	var size [4]byte
	var packet []byte
	for {
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxPacket {
			return
		}
		packet = slices.Grow(packet[:0], int(n))[:n]
		if _, err := io.ReadFull(r, packet); err != nil {
			return
		}
		if _, err := pipe.Write(packet); err != nil {
			return
		}
	}
}

// reset is a USB reset of one phone.
func (b *Bus) reset(c net.Conn, m request) {
	answer := "\n"
	if cable := b.find(m.Reset, m.Plug); cable == nil || cable.Reset() != nil {
		answer = virtualphone.ErrUnplugged.Error() + "\n"
	}
	_, _ = io.WriteString(c, answer)
}

// find is the cable of a plugged period, nil if that is over.
func (b *Bus) find(serial string, plug int) *virtualphone.Cable {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.plugged {
		if p.Serial == serial && p.Plug == plug {
			return p.cable
		}
	}
	return nil
}
