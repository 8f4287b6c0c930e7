package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gomuxd/virtualphone"
)

// direction is which way bytes go.
type direction string

const (
	down direction = "down" // from the phone
	up   direction = "up"   // to the phone
	echo direction = "echo" // to the phone and back
)

// port is where the phone does the other half.
func (d direction) port() uint16 {
	switch d {
	case down:
		return sourcePort
	case up:
		return sinkPort
	}
	return virtualphone.EchoPort
}

// transferLimit bounds one transfer.
const transferLimit = 3 * time.Minute

// transfer is a number of sessions that move bytes at the same time.
type transfer struct {
	way   direction
	conns []net.Conn
	each  int64          // bytes of a session
	moved []atomic.Int64 // by session

	// What had been moved when the last session had got its first bytes, and when
	// the first was done: between the two all compete.
	begun       atomic.Int64 // sessions that have got their first bytes
	first, last []int64
}

// nextStream numbers the streams of a process.
var nextStream atomic.Uint64

// open connects the sessions, one for each device. The caller must close.
func open(way direction, devices []uint32, each int64) (*transfer, error) {
	t := &transfer{way: way, each: each, moved: make([]atomic.Int64, len(devices))}
	for _, d := range devices {
		c, err := dial(d, way.port())
		if err == nil {
			t.conns = append(t.conns, c)
			err = c.SetDeadline(time.Now().Add(scaled(transferLimit)))
		}
		if err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *transfer) close() {
	for _, c := range t.conns {
		c.Close()
	}
}

// run moves and verifies every byte. It returns how long that took.
func (t *transfer) run() (time.Duration, error) {
	var (
		wg   sync.WaitGroup
		done sync.Once
		errs = make([]error, len(t.conns))
	)
	begin := time.Now()
	for i, c := range t.conns {
		wg.Go(func() {
			if err := t.move(c, stream(nextStream.Add(1)), i); err != nil {
				errs[i] = fmt.Errorf("%s, session %d of %d: %w", t.way, i+1, len(t.conns), err)
				t.close() // the others have nothing more to prove
				return
			}
			done.Do(func() { t.last = t.snapshot() })
		})
	}
	wg.Wait()
	return time.Since(begin), errors.Join(errs...)
}

func (t *transfer) snapshot() []int64 {
	all := make([]int64, len(t.moved))
	for i := range t.moved {
		all[i] = t.moved[i].Load()
	}
	return all
}

// unfairness is by how many percent the session that has got the most, or the
// least, while all were at it differed from the mean; 100 if they never were.
func (t *transfer) unfairness() float64 {
	return unfairness(t.together())
}

// together is what each session moved while all were at it; nil if they never were.
func (t *transfer) together() []int64 {
	if t.first == nil {
		return nil
	}
	got := make([]int64, len(t.first))
	for i := range got {
		got[i] = t.last[i] - t.first[i]
	}
	return got
}

// share is how much of their fair share the first n sessions moved while all were at
// it: 1 if it was as much for each of them as for the others, 0 if they never were.
func (t *transfer) share(n int) float64 { return share(t.together(), n) }

func share(got []int64, n int) float64 {
	var first, all int64
	for i, m := range got {
		all += m
		if i < n {
			first += m
		}
	}
	if all <= 0 {
		return 0
	}
	return float64(first) / float64(all) * float64(len(got)) / float64(n)
}

func unfairness(got []int64) float64 {
	var sum int64
	for _, n := range got {
		sum += n
	}
	if sum <= 0 {
		return 100
	}
	mean := float64(sum) / float64(len(got))
	return 100 * max(float64(slices.Max(got))-mean, mean-float64(slices.Min(got))) / mean
}

// count notes what session i has moved.
func (t *transfer) count(i int) func(int64) {
	return func(n int64) {
		if t.moved[i].Swap(n) == 0 && t.begun.Add(1) == int64(len(t.conns)) {
			t.first = t.snapshot()
		}
	}
}

// move is session i.
func (t *transfer) move(c net.Conn, s stream, i int) error {
	switch t.way {
	case down:
		if _, err := c.Write(appendOrder(nil, t.each, s)); err != nil {
			return err
		}
		return receive(c, s, t.each, t.count(i))
	case up:
		if _, err := c.Write(appendOrder(nil, t.each, s)); err != nil {
			return err
		}
		if err := send(c, s, t.each, t.count(i)); err != nil {
			return err
		}
		var verdict [1]byte
		if _, err := io.ReadFull(c, verdict[:]); err != nil {
			return fmt.Errorf("the phone's verdict: %w", err)
		}
		if verdict[0] != sinkGood {
			return errors.New("the phone got wrong bytes")
		}
		return nil
	}
	sent := make(chan error, 1)
	go func() { sent <- send(c, s, t.each, func(int64) {}) }()
	err := receive(c, s, t.each, t.count(i))
	if err != nil {
		c.Close()
	}
	return errors.Join(err, <-sent)
}

// send writes n bytes of a stream.
func send(c net.Conn, s stream, n int64, moved func(int64)) error {
	const piece = 64 << 10
	for at := int64(0); at < n; {
		k, err := c.Write(s.piece(at, int(min(n-at, piece))))
		at += int64(k)
		moved(at)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", at, err)
		}
	}
	return nil
}

// receive reads and compares n bytes of a stream.
func receive(c net.Conn, s stream, n int64, moved func(int64)) error {
	buf := pieces.Get().(*[maxPiece]byte)
	defer pieces.Put(buf)
	for at := int64(0); at < n; {
		k, err := c.Read(buf[:min(n-at, maxPiece)])
		if wrong := s.verify(at, buf[:k]); wrong != nil {
			return wrong
		}
		at += int64(k)
		moved(at)
		if err != nil && at < n {
			return fmt.Errorf("after %d bytes: %w", at, err)
		}
	}
	return nil
}

// load is sessions that move bytes down until they are stopped.
type load struct {
	t    *transfer
	wg   sync.WaitGroup
	over atomic.Bool
	errs []error
}

// startLoad starts n sessions and waits until each has got something.
func startLoad(device uint32, n int) (*load, error) {
	const endless = 1 << 40
	t, err := open(down, same(device, n), endless)
	if err != nil {
		return nil, err
	}
	l := &load{t: t, errs: make([]error, n)}
	flowing := make(chan struct{}, n)
	for i, c := range t.conns {
		l.wg.Go(func() {
			s := stream(nextStream.Add(1))
			if _, err := c.Write(appendOrder(nil, endless, s)); err != nil {
				l.errs[i] = err
				flowing <- struct{}{}
				return
			}
			err := receive(c, s, 1, func(int64) {})
			flowing <- struct{}{}
			for at := int64(1); err == nil; {
				var k int
				if k, err = readPiece(c, s, at); err == nil {
					at += int64(k)
				}
			}
			if !l.over.Load() || !errors.Is(err, net.ErrClosed) {
				l.errs[i] = err
			}
		})
	}
	for range n {
		<-flowing
	}
	return l, nil
}

// readPiece reads and compares what comes at once.
func readPiece(c net.Conn, s stream, at int64) (int, error) {
	buf := pieces.Get().(*[maxPiece]byte)
	defer pieces.Put(buf)
	k, err := c.Read(buf[:])
	if wrong := s.verify(at, buf[:k]); wrong != nil {
		return k, wrong
	}
	return k, err
}

func (l *load) stop() error {
	l.over.Store(true)
	l.t.close()
	l.wg.Wait()
	return errors.Join(l.errs...)
}

// same is n times one device.
func same(device uint32, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = device
	}
	return all
}
