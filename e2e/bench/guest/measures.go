package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gomuxd/virtualphone"
)

// measure is one thing to do with a daemon that has just announced its phones.
type measure struct {
	name   string
	phones int  // that are plugged in
	null   bool // also for the daemon that does nothing else
	do     func(*run) error
}

var measures = []measure{
	{"idle", 1, false, (*run).idle},
	{"down", 1, true, func(r *run) error { return r.throughput(down) }},
	{"up", 1, true, func(r *run) error { return r.throughput(up) }},
	{"echo", 1, true, func(r *run) error { return r.throughput(echo) }},
	{"connect", 1, false, func(r *run) error { return r.connects(1000) }},
	{"busyconnect", 1, false, (*run).busyConnects},
	{"roundtrip", 1, true, (*run).roundTrips},
	{"list", 1, false, (*run).lists},
	{"sessions", 1, false, (*run).sessions},
	{"stuckclient", 1, false, (*run).stuckClient},
	{"flood", 1, false, (*run).flood},
	{"replug", 1, false, (*run).replugs},
	{"stuckphone", 2, false, (*run).stuckPhone},
	{"farm", 32, false, (*run).farm},
}

// run is one measure with one daemon.
type run struct {
	*bench
	d      *daemon
	round  int
	values map[string][]float64
}

func (r *run) note(name string, v float64) { r.values[name] = append(r.values[name], v) }

func (r *run) pid() int { return r.d.cmd.Process.Pid }

// bytes is what a transfer moves.
func (r *run) bytes() int64 { return int64(r.file.Options.MiB) << 20 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// throughput moves the bytes one way with 1, 8 and 64 sessions.
func (r *run) throughput(way direction) error {
	for _, n := range []int{1, 8, 64} {
		if err := r.transfer(fmt.Sprint(n), way, same(r.d.ids[0], n), r.bytes()); err != nil {
			return err
		}
	}
	return nil
}

// transfer moves total bytes over a session to each device and notes speed,
// shares, memory and what it has cost in processor seconds per GiB.
func (r *run) transfer(key string, way direction, devices []uint32, total int64) error {
	if err := clearPeak(r.pid()); err != nil {
		return err
	}
	t, err := open(way, devices, total/int64(len(devices)))
	if err != nil {
		return err
	}
	defer t.close()
	before, err := r.usage()
	if err != nil {
		return err
	}
	took, err := t.run()
	if err != nil {
		return err
	}
	after, err := r.usage()
	if err != nil {
		return err
	}
	memory, err := peak(r.pid())
	if err != nil {
		return err
	}
	gib := float64(t.each*int64(len(devices))) / (1 << 30)
	r.note("mibs/"+key, gib*1024/took.Seconds())
	daemon, phone, client := after.daemon-before.daemon, after.phone-before.phone, after.client-before.client
	busy := after.busy - before.busy
	r.note("cpu/"+key, daemon.Seconds()/gib)
	r.note("share.phone/"+key, phone.Seconds()/gib)
	r.note("share.client/"+key, client.Seconds()/gib)
	r.note("share.kernel/"+key, max(0, (busy-daemon-phone-client).Seconds()/gib))
	// As fast as this could go if the daemon took no time.
	r.note("limit/"+key, float64(runtime.NumCPU())*gib*1024/(busy-daemon).Seconds())
	r.note("share.idle/"+key, 1-float64(busy)/float64(after.all-before.all))
	r.note("switches/"+key, (after.switches-before.switches)/(gib*1024))
	r.note("rss/"+key, memory)
	if len(devices) > 1 {
		r.note("unfair/"+key, t.unfairness())
	}
	return nil
}

// farm moves the bytes from 1, 4, 16 and 32 phones, and enough from each that
// their shares are not chance: who comes first in some turns of 64 KiB decides
// over a tenth of 8 MiB. Then it lists them.
func (r *run) farm() error {
	const least = 32 << 20
	for _, n := range []int{1, 4, 16, 32} {
		if err := r.transfer(fmt.Sprint(n), down, r.d.ids[:n], max(r.bytes(), int64(n)*least)); err != nil {
			return err
		}
	}
	return r.lists()
}

// percentiles notes the median and the 99th percentile in milliseconds.
func (r *run) percentiles(name string, all []time.Duration) {
	slices.Sort(all)
	r.note(name+".p50", milliseconds(all[len(all)/2]))
	r.note(name+".p99", milliseconds(all[len(all)*99/100]))
}

// connects opens and closes n connections, one after the other.
func (r *run) connects(n int) error {
	all := make([]time.Duration, n)
	before, err := cpu(r.pid())
	if err != nil {
		return err
	}
	for i := range all {
		begin := time.Now()
		c, err := dial(r.d.ids[0], virtualphone.EchoPort)
		if err != nil {
			return err
		}
		all[i] = time.Since(begin)
		c.Close()
	}
	after, err := cpu(r.pid())
	if err != nil {
		return err
	}
	r.note("cpu", milliseconds(after-before)/float64(n))
	r.percentiles("connect", all)
	return nil
}

// busyConnects does the same while eight other sessions move data.
func (r *run) busyConnects() error {
	l, err := startLoad(r.d.ids[0], 8)
	if err != nil {
		return err
	}
	return errors.Join(r.connects(200), l.stop())
}

// roundTrips sends 64 bytes to the echo port and waits for them.
func (r *run) roundTrips() error {
	c, err := dial(r.d.ids[0], virtualphone.EchoPort)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(scaled(transferLimit))); err != nil {
		return err
	}
	const size = 64
	all := make([]time.Duration, 1000)
	s := stream(nextStream.Add(1))
	var buf [size]byte
	before, err := cpu(r.pid())
	if err != nil {
		return err
	}
	for i := range all {
		at := int64(i) * size
		begin := time.Now()
		if _, err := c.Write(s.piece(at, size)); err != nil {
			return err
		}
		for got := 0; got < size; {
			n, err := c.Read(buf[got:])
			if err != nil {
				return err
			}
			got += n
		}
		all[i] = time.Since(begin)
		if err := s.verify(at, buf[:]); err != nil {
			return err
		}
	}
	after, err := cpu(r.pid())
	if err != nil {
		return err
	}
	r.note("cpu", milliseconds(after-before)/float64(len(all)))
	r.percentiles("roundtrip", all)
	return nil
}

// lists asks for the devices as tools do: a connection for each question.
func (r *run) lists() error {
	const n = 500
	begin := time.Now()
	for range n {
		got, err := list()
		if err != nil {
			return err
		}
		if got != len(r.d.ids) {
			return fmt.Errorf("%d of %d phones are listed", got, len(r.d.ids))
		}
	}
	r.note("persecond", n/time.Since(begin).Seconds())
	return nil
}

// Time that the idle measure takes: until what follows a start is over, and the
// window in which wake-ups are counted.
const (
	idleSettle = time.Second
	idleWindow = 5 * time.Second
)

// idle leaves the daemon alone with its phone.
func (r *run) idle() error {
	time.Sleep(idleSettle)
	start, err := peak(r.pid())
	if err != nil {
		return err
	}
	if err := clearPeak(r.pid()); err != nil {
		return err
	}
	before, _, err := switches(r.pid())
	if err != nil {
		return err
	}
	time.Sleep(idleWindow)
	after, _, err := switches(r.pid())
	if err != nil {
		return err
	}
	memory, err := peak(r.pid())
	if err != nil {
		return err
	}
	r.note("rss.start", start)
	r.note("rss", memory)
	r.note("wakeups", (after-before)/idleWindow.Seconds())
	return nil
}

// sessions opens a thousand sessions on which nothing happens.
func (r *run) sessions() error {
	if err := clearPeak(r.pid()); err != nil {
		return err
	}
	t, err := open(echo, same(r.d.ids[0], 1000), 0)
	if err != nil {
		return err
	}
	defer t.close()
	memory, err := peak(r.pid())
	if err != nil {
		return err
	}
	r.note("rss", memory)
	return nil
}

// replugs pulls the phone and puts it in again, before a hundred listeners.
func (r *run) replugs() error {
	const (
		listeners = 100
		times     = 3
	)
	all := make([]listener, listeners)
	for i := range all {
		l, err := listen()
		if err != nil {
			return err
		}
		defer l.Close()
		all[i] = l
	}
	// heard waits until each listener has heard of an event.
	heard := func(kind string) (first, last time.Time, err error) {
		at := make([]time.Time, listeners)
		errs := make([]error, listeners)
		var wg sync.WaitGroup
		for i, l := range all {
			wg.Go(func() {
				ev, err := l.next()
				if err == nil && ev.kind != kind {
					err = fmt.Errorf("want %s, got %+v", kind, ev)
				}
				at[i], errs[i] = ev.at, err
			})
		}
		wg.Wait()
		return slices.MinFunc(at, time.Time.Compare), slices.MaxFunc(at, time.Time.Compare), errors.Join(errs...)
	}
	if _, _, err := heard("Attached"); err != nil { // of the phone that is there
		return err
	}
	for range times {
		pull := time.Now()
		if err := r.phones.call("Pull", 0); err != nil {
			return err
		}
		first, _, err := heard("Detached")
		if err != nil {
			return err
		}
		r.note("unplugged", milliseconds(first.Sub(pull)))
		plug := time.Now()
		if err := r.phones.call("Replug", 0); err != nil {
			return err
		}
		first, last, err := heard("Attached")
		if err != nil {
			return err
		}
		r.note("plugged", milliseconds(first.Sub(plug)))
		r.note("fanout", milliseconds(last.Sub(first)))
	}
	return nil
}

// enough is how often, in all rounds, what varies much is measured.
const enough = 10

// times is how often that is in each.
func (r *run) times() int { return (enough + r.file.Options.Rounds - 1) / r.file.Options.Rounds }

// pairs takes, in turn, the speed of eight sessions with and without something
// stuck beside them, and notes by how many percent it was slower with it. stick
// returns what ends it. A speed is that of a second at least: over a third of one, two
// without anything stuck differ by a tenth.
func (r *run) pairs(stick func() (free func() error, err error)) error {
	once := func() (float64, error) {
		t, err := open(echo, same(r.d.ids[0], 8), 2*r.bytes()/8)
		if err != nil {
			return 0, err
		}
		defer t.close()
		took, err := t.run()
		return float64(r.bytes()) / took.Seconds(), err
	}
	for i := range r.times() {
		var with, without float64
		for turn := range 2 {
			if (turn+i+r.round)%2 == 0 {
				free, err := stick()
				if err != nil {
					return err
				}
				with, err = once()
				if err := errors.Join(err, free()); err != nil {
					return err
				}
				continue
			}
			var err error
			if without, err = once(); err != nil {
				return err
			}
		}
		r.note("loss", 100*(1-with/without))
	}
	return nil
}

// stuckClient is a client beside that asks for data and does not read it.
func (r *run) stuckClient() error {
	return r.pairs(func() (func() error, error) {
		c, err := dial(r.d.ids[0], sourcePort)
		if err != nil {
			return nil, err
		}
		if _, err := c.Write(appendOrder(nil, 1<<40, 0)); err != nil {
			return nil, err
		}
		return c.Close, full(c)
	})
}

// flood moves the bytes over nine sessions, of which the last is that of a client that
// floods the daemon. It notes what the eight others got while all were at it, in
// percent of their fair share: eight ninths.
func (r *run) flood() error {
	const clients = 9
	for _, way := range []direction{down, up} {
		for range r.times() {
			t, err := open(way, same(r.d.ids[0], clients), r.bytes()/clients)
			if err != nil {
				return err
			}
			stop := pester(r.d.ids[0])
			_, err = t.run()
			err = errors.Join(err, stop())
			t.close()
			if err != nil {
				return err
			}
			r.note("share/"+string(way), 100*t.share(clients-1))
		}
	}
	return nil
}

// pester connects and leaves, and asks for the devices, both without pause, until it is
// stopped.
func pester(device uint32) (stop func() error) {
	var (
		over atomic.Bool
		wg   sync.WaitGroup
		errs [2]error
	)
	for i, once := range []func() error{
		func() error {
			c, err := dial(device, virtualphone.EchoPort)
			if err != nil {
				return err
			}
			return c.Close()
		},
		func() error {
			_, err := list()
			return err
		},
	} {
		wg.Go(func() {
			for errs[i] == nil && !over.Load() {
				errs[i] = once()
			}
		})
	}
	return func() error {
		over.Store(true)
		wg.Wait()
		return errors.Join(errs[:]...)
	}
}

// full waits until no more arrives at a socket that nobody reads.
func full(c net.Conn) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	last := int32(-1)
	return repeat(func() error {
		var n int32
		if err := raw.Control(func(fd uintptr) {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCINQ, uintptr(unsafe.Pointer(&n)))
			if errno != 0 {
				n = -1
			}
		}); err != nil {
			return err
		}
		if n == last && n > 0 {
			return nil
		}
		last = n
		return fmt.Errorf("%d bytes and more arrive at a socket that nobody reads", n)
	})
}

// repeat repeats a check until it is nil, at least twice and for a while.
func repeat(check func() error) error {
	const limit, pause = 30 * time.Second, 100 * time.Millisecond
	end := time.Now().Add(scaled(limit))
	for {
		err := check()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

// stuckPhone is a phone beside that takes and gives nothing, while a client
// sends to it.
func (r *run) stuckPhone() error {
	return r.pairs(func() (func() error, error) {
		c, err := dial(r.d.ids[1], sinkPort)
		if err != nil {
			return nil, err
		}
		if err := r.phones.call("Stick", Stick{Phone: 1, On: true}); err != nil {
			return nil, err
		}
		free := func() error {
			c.Close()
			return r.phones.call("Stick", Stick{Phone: 1, On: false})
		}
		if _, err := c.Write(appendOrder(nil, 1<<40, 0)); err != nil {
			return nil, errors.Join(err, free())
		}
		// The daemon takes what it has room for, and then no more.
		if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return nil, errors.Join(err, free())
		}
		for at := int64(0); ; {
			n, err := c.Write(stream(0).piece(at, maxPiece))
			at += int64(n)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return free, nil
			}
			if err != nil {
				return nil, errors.Join(err, free())
			}
		}
	})
}
