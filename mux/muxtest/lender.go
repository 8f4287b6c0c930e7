package muxtest

import (
	"bytes"
	"net"
	"sync"
)

// poison is what lent memory is filled with when it is no more the borrower's.
const poison = 0xdb

// Lender is a host's end that is a mux.Lender. It panics where the borrower does what
// he may not, and spoils memory that he has given back.
type Lender struct {
	host
	next []byte // lent by Next

	mu   sync.Mutex // held from Lend to Submit, and by Write
	lent []byte
}

// LendingPipe is Pipe with a host's end that lends, and n transfers to the phone: as
// many packets leave before the phone has received one.
func LendingPipe(n int) (*Lender, *Phone) {
	_, p := Pipe()
	p.out = make(chan []byte, n)
	p.free = make(chan []byte, n)
	for range n {
		p.free <- bytes.Repeat([]byte{poison}, 48<<10)
	}
	return &Lender{host: host{p: p}}, p
}

// Next implements mux.Lender.
func (l *Lender) Next() ([]byte, error) {
	if l.next != nil {
		panic("muxtest: Next before Return")
	}
	if len(l.left) == 0 {
		if err := l.receive(); err != nil {
			return nil, err
		}
	}
	l.next = append(make([]byte, 0, len(l.left)+1), l.left...) // not nil
	l.left = nil
	return l.next, nil
}

// Return implements mux.Lender.
func (l *Lender) Return() (more bool) {
	if l.next == nil {
		panic("muxtest: Return without Next")
	}
	spoil(l.next)
	l.next = nil
	select {
	case l.left = <-l.p.in:
	default:
	}
	return len(l.left) > 0
}

// Lend implements mux.Lender.
func (l *Lender) Lend() []byte {
	if !l.mu.TryLock() {
		return nil
	}
	if l.ended() == nil {
		select {
		case l.lent = <-l.p.free:
			return l.lent
		default:
		}
	}
	l.mu.Unlock()
	return nil
}

// Submit implements mux.Lender.
func (l *Lender) Submit(n int) error {
	if l.lent == nil {
		panic("muxtest: Submit without Lend")
	}
	defer l.mu.Unlock()
	b := l.lent
	l.lent = nil
	if n == 0 {
		l.p.free <- b // has room for all
		return nil
	}
	if err := l.ended(); err != nil {
		return err
	}
	l.p.out <- b[:n] // has room for all
	return nil
}

func (l *Lender) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case f := <-l.p.free:
		l.p.out <- f[:copy(f, b)] // has room for all
		return len(b), nil
	case <-l.p.closed:
		return 0, net.ErrClosed
	case <-l.p.gone:
		return 0, ErrUnplugged
	}
}

// Waiting implements mux.Waiting.
func (l *Lender) Waiting() (mark uint64, waiting bool) {
	n := uint64(len(l.p.out))
	return l.p.received.Load()<<8 + n, n > 0
}

func (l *Lender) ended() error {
	select {
	case <-l.p.closed:
		return net.ErrClosed
	case <-l.p.gone:
		return ErrUnplugged
	default:
		return nil
	}
}

func spoil(b []byte) {
	for i := range b {
		b[i] = poison
	}
}
