package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"sync"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// Ports of the phones beside virtualphone.EchoPort. The client first sends 16
// big-endian bytes: a length and the number of a stream.
const (
	sourcePort = 2001 // answers so many bytes of the stream and closes
	sinkPort   = 2002 // reads so many, answers sinkGood or sinkBad and closes
)

const (
	sinkGood = 1
	sinkBad  = 2
)

// Phones are the virtual phones of the process "bench phone", called over its
// standard streams. Phone i keeps its UDID in all runs.
type Phones struct {
	speed usbip.Speed
	all   []*phone
}

type phone struct {
	*virtualphone.Phone
	gadget *usbip.Gadget
	ports  chan usbip.Event
}

// udid is the id of phone i.
func udid(i int) string { return fmt.Sprintf("00008110-%016X", 0x000A1111_2222_0000+i) }

// servePhones is the process of the phones.
func servePhones(speed string) error {
	s, err := usbip.ParseSpeed(speed)
	if err != nil {
		return err
	}
	oneProcessor()
	server := rpc.NewServer()
	if err := server.Register(&Phones{speed: s}); err != nil {
		return err
	}
	server.ServeConn(struct {
		io.Reader
		io.WriteCloser
	}{os.Stdin, os.Stdout}) // until the client's end
	return nil
}

// Plug makes and plugs in phones until there are count, and waits for their ports.
func (p *Phones) Plug(count int, _ *struct{}) error {
	for i := len(p.all); i < count; i++ {
		v, err := virtualphone.New(virtualphone.Config{UDID: udid(i), MaxPacketSize: p.speed.PacketSize()})
		if err != nil {
			return err
		}
		v.HandlePort(sourcePort, source)
		v.HandlePort(sinkPort, sink)
		g, err := usbip.New(usbip.Config{Phone: v, Speed: p.speed})
		if err != nil {
			return err
		}
		ph := &phone{Phone: v, gadget: g, ports: make(chan usbip.Event, 64)}
		go func() { // as long as the process
			if err := g.Follow(context.Background(), usbip.Attach, func(ev usbip.Event) { ph.ports <- ev }); err != nil {
				ph.ports <- usbip.Event{Err: err}
			}
		}()
		if err := ph.attached(); err != nil {
			return err
		}
		p.all = append(p.all, ph)
	}
	return nil
}

// attached waits until the phone is in a port.
func (p *phone) attached() error {
	limit := time.After(scaled(30 * time.Second))
	for {
		select {
		case ev := <-p.ports:
			if ev.Port != nil {
				return nil
			}
			if ev.Err != nil && !errors.Is(ev.Err, usbip.ErrModeSwitch) {
				return fmt.Errorf("phone %s: %w", p.UDID(), ev.Err)
			}
		case <-limit:
			return fmt.Errorf("phone %s got no port", p.UDID())
		}
	}
}

// Pull takes the cable out of phone i.
func (p *Phones) Pull(i int, _ *struct{}) error {
	p.all[i].Unplug()
	return nil
}

// Replug puts it in again, and waits for a port.
func (p *Phones) Replug(i int, _ *struct{}) error {
	if _, err := p.all[i].Phone.Plug(); err != nil {
		return err
	}
	return p.all[i].attached()
}

// Stick is the argument of Phones.Stick.
type Stick struct {
	Phone int
	On    bool
}

// Stick has a phone take and give nothing, or go on.
func (p *Phones) Stick(s Stick, _ *struct{}) error {
	p.all[s.Phone].gadget.SetFaults(usbip.Faults{NakIn: s.On, NakOut: s.On})
	return nil
}

// Verdict is an error if a host has broken the protocol since the last Verdict.
func (p *Phones) Verdict(_ struct{}, _ *struct{}) error {
	var errs []error
	for _, ph := range p.all {
		if v := ph.Violations(); v.Total() > 0 {
			errs = append(errs, fmt.Errorf("phone %s counted violations: %v %v", ph.UDID(), v, ph.ViolationNotes()))
			ph.ClearViolations()
		}
	}
	return errors.Join(errs...)
}

// order reads what a client of sourcePort or sinkPort wants.
func order(c net.Conn) (n int64, s stream, err error) {
	var head [16]byte
	_, err = io.ReadFull(c, head[:])
	return int64(binary.BigEndian.Uint64(head[:])), stream(binary.BigEndian.Uint64(head[8:])), err
}

func appendOrder(b []byte, n int64, s stream) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(n)), uint64(s))
}

func source(_ context.Context, c net.Conn) {
	n, s, err := order(c)
	if err != nil {
		return
	}
	for at := int64(0); at < n; {
		k, err := c.Write(s.piece(at, int(min(n-at, maxPiece))))
		if err != nil {
			return
		}
		at += int64(k)
	}
}

// pieces lends buffers to sinks.
var pieces = sync.Pool{New: func() any { return new([maxPiece]byte) }}

func sink(_ context.Context, c net.Conn) {
	n, s, err := order(c)
	if err != nil {
		return
	}
	buf := pieces.Get().(*[maxPiece]byte)
	defer pieces.Put(buf)
	verdict := byte(sinkGood)
	for at := int64(0); at < n; {
		k, err := c.Read(buf[:min(n-at, maxPiece)])
		if err != nil {
			return
		}
		if s.verify(at, buf[:k]) != nil {
			verdict = sinkBad
		}
		at += int64(k)
	}
	_, _ = c.Write([]byte{verdict}) // the client learns of a failure by its absence
}
