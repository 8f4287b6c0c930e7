package usb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gomuxd/mux"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

var _ mux.Lender = (*Pipe)(nil)

// plug makes a session over a Pipe whose kernel leads to a virtual phone.
func plug(t testing.TB, cfg virtualphone.Config, plan buffers, noZLP bool) (*mux.Session, *virtualphone.Phone, *Pipe) {
	t.Helper()
	return plugInto(t, cfg, plan, func(b *bus) { b.noZLP = noZLP })
}

// plugInto is plug with a bus that the test has made worse.
func plugInto(t testing.TB, cfg virtualphone.Config, plan buffers, spoil func(*bus)) (*mux.Session, *virtualphone.Phone, *Pipe) {
	t.Helper()
	phone, err := virtualphone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		phone.Close()
		if v := phone.Violations(); v.Total() != 0 {
			t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
		}
	})
	cable, err := phone.Plug()
	if err != nil {
		t.Fatal(err)
	}
	k := newFakeKernel(t)
	bus := newBus(k, cable)
	spoil(bus)
	p, err := newPipe(bus, testEndpoints, plan, pipeConfig{log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		bus.wg.Wait()
		k.checkClean()
	})
	s, err := mux.Open(context.Background(), p, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, phone, p
}

// bus is a fakeKernel whose transfers a cable carries out.
type bus struct {
	*fakeKernel
	cable  *virtualphone.Cable
	ctx    context.Context
	cancel context.CancelFunc
	in     chan *frame
	wg     sync.WaitGroup

	// Each stall-th OUT transfer is refused, and the endpoint halted; 0 is never.
	stall, outs int
	halted      bool
}

func newBus(k *fakeKernel, cable *virtualphone.Cable) *bus {
	b := &bus{fakeKernel: k, cable: cable, in: make(chan *frame, 64)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.wg.Go(func() {
		buf := make([]byte, 64<<10) // a transfer may be taken back while its data comes
		for f := range b.in {
			n, err := cable.BulkInContext(b.ctx, buf[:f.bufferLength])
			if errors.Is(err, virtualphone.ErrUnplugged) {
				k.unplug()
			}
			if err != nil {
				continue
			}
			k.mu.Lock()
			if slices.Contains(k.pending[testIn], f) {
				copy(f.buf, buf[:n])
				k.completeLocked(f, 0, n)
			}
			k.mu.Unlock()
		}
	})
	return b
}

func (b *bus) submit(f *frame) unix.Errno {
	errno := b.fakeKernel.submit(f)
	if errno != 0 {
		return errno
	}
	if f.in() {
		b.in <- f
		return 0
	}
	if b.refuses(f) {
		return 0
	}
	n := int(f.bufferLength)
	err := b.cable.BulkOut(f.buf[:n])
	if err == nil && f.flags&urbZeroPacket != 0 && n%512 == 0 {
		err = b.cable.BulkOut(nil)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// The phone may have been unplugged meanwhile.
	if err == nil && slices.Contains(b.pending[testOut], f) {
		b.completeLocked(f, 0, n)
		b.sent = nil
	}
	return 0
}

// refuses leaves an OUT transfer where it is while the endpoint is halted, or halts it.
func (b *bus) refuses(f *frame) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.halted {
		return true
	}
	if b.outs++; b.stall > 0 && b.outs%b.stall == 0 {
		b.halted = true
		b.completeLocked(f, unix.EPIPE, 0)
	}
	return b.halted
}

func (b *bus) clearHalt(ep uint8) unix.Errno {
	b.mu.Lock()
	b.halted = b.halted && ep != testOut
	b.mu.Unlock()
	return b.fakeKernel.clearHalt(ep)
}

func (b *bus) discard(f *frame) unix.Errno {
	if f.in() {
		b.cancel()
	}
	return b.fakeKernel.discard(f)
}

func (b *bus) close() error {
	close(b.in)
	return b.fakeKernel.close()
}

func dial(t testing.TB, s *mux.Session, port uint16) net.Conn {
	t.Helper()
	c, err := s.Dial(context.Background(), port)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upload sends n bytes to the checksum service and compares the answer.
func upload(c net.Conn, seed uint64, n int) error {
	sum := sha256.New()
	buf := make([]byte, 60000)
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], uint64(n))
	if _, err := c.Write(head[:]); err != nil {
		return err
	}
	for at := 0; at < n; {
		b := buf[:min(len(buf), n-at)]
		service.Fill(seed, uint64(at), b)
		sum.Write(b)
		if _, err := c.Write(b); err != nil {
			return err
		}
		at += len(b)
	}
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != string(sum.Sum(nil)) {
		return errors.New("checksums differ")
	}
	return nil
}

func TestMuxOverPipe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		plan   buffers
		noZLP  bool
		memory int // bytes, 0 for enough
		stall  int
		faults virtualphone.Faults
	}{
		{name: "plentiful", plan: plentiful},
		{name: "normal", plan: normal},
		{name: "scarce", plan: scarce, noZLP: true},
		{name: "fragments", plan: normal, faults: virtualphone.Faults{FragmentIn: 512}},
		{name: "little memory", plan: normal, memory: 4*inWhole + 60_000},
		{name: "very little memory", plan: normal, memory: inWhole + 20_000},
		{name: "stalls", plan: plentiful, stall: 7},
		{name: "stalls, few transfers", plan: normal, stall: 5},
		{name: "coalesced", plan: normal, faults: virtualphone.Faults{CoalesceIn: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _, p := plugInto(t, virtualphone.Config{Faults: tt.faults}, tt.plan, func(b *bus) {
				b.noZLP, b.memory, b.stall = tt.noZLP, tt.memory, tt.stall
			})
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					c, err := s.Dial(context.Background(), virtualphone.ChecksumPort)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					if err := upload(c, uint64(i), 40000+i*997); err != nil {
						t.Errorf("upload %d: %v", i, err)
					}
				})
				wg.Go(func() {
					c, err := s.Dial(context.Background(), virtualphone.EchoPort)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					if err := echo(c, uint64(i), 476+i*2048); err != nil {
						t.Errorf("echo %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			if got := p.Stats().Recoveries; (got > 0) != (tt.stall > 0) {
				t.Errorf("%d recoveries", got)
			}
		})
	}
}

func echo(c net.Conn, seed uint64, n int) error {
	want := make([]byte, n)
	service.Fill(seed, 0, want)
	errs := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		errs <- err
	}()
	got := make([]byte, n)
	_, err := io.ReadFull(c, got)
	if err == nil && string(got) != string(want) {
		err = errors.New("bytes differ")
	}
	return errors.Join(err, <-errs)
}

// Every length around the packet size and the largest frame leaves as one mux
// packet, and the phone misses no ZLP.
func TestMuxPacketLengths(t *testing.T) {
	for _, noZLP := range []bool{false, true} {
		s, _, _ := plug(t, virtualphone.Config{}, normal, noZLP)
		c := dial(t, s, virtualphone.EchoPort)
		for _, n := range []int{1, 475, 476, 477, 988, 16348, 16349, 32764, 49115, 49116, 49117, 65536} {
			if err := echo(c, uint64(n), n); err != nil {
				t.Errorf("echo of %d bytes: %v", n, err)
			}
		}
		c.Close()
	}
}

func TestUnplugDuringTransfers(t *testing.T) {
	for range 20 {
		s, phone, p := plug(t, virtualphone.Config{}, normal, false)
		c := dial(t, s, virtualphone.EchoPort)
		errs := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = echo(c, 1, 1<<20)
			}
			errs <- err
		}()
		for p.Stats().BytesIn < 100000 {
			time.Sleep(time.Millisecond)
		}
		phone.Unplug()
		<-errs
		<-s.Done()
		if err := s.Err(); !errors.Is(err, mux.ErrDeviceGone) || !errors.Is(err, ErrGone) {
			t.Errorf("session ended with %v", err)
		}
	}
}
