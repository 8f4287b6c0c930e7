package observer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// daemon is a source that a test drives. Its fields are guarded by mu.
type daemon struct {
	mu     sync.Mutex
	events chan control.Event // nil: nobody listens
	list   []control.Device
	asked  int
}

func (d *daemon) Watch(ctx context.Context, fn func(control.Event) error) error {
	d.mu.Lock()
	events, list := d.events, slices.Clone(d.list)
	d.mu.Unlock()
	if events == nil {
		return errors.New("nobody listens: start it")
	}
	for _, dev := range list {
		if err := fn(control.Event{Type: control.DeviceAdded, Device: dev, Time: time.Now()}); err != nil {
			return err
		}
	}
	if err := fn(control.Event{Type: control.Ready}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-events:
			if !ok {
				return errors.New("it went")
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

func (d *daemon) Stats(context.Context) (control.Stats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	s := control.Stats{Time: time.Now()}
	for _, dev := range d.list {
		s.Devices = append(s.Devices, control.DeviceStats{UDID: dev.UDID, PortPath: dev.PortPath, Counters: dev.Counters})
	}
	return s, nil
}

func (d *daemon) Daemon(context.Context) (control.Daemon, error) {
	return control.Daemon{Version: "1.2.3", Records: []control.Record{}}, nil
}

func (d *daemon) set(events chan control.Event, list ...control.Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events, d.list = events, list
}

func device(n int, state string, in, out uint64) control.Device {
	id, udid := uint32(n), fmt.Sprintf("%040x", n)
	return control.Device{
		DeviceID: &id, UDID: &udid, Name: fmt.Sprintf("Phone %d", n), Trust: state, Reason: "It is " + state + ".",
		PortPath: fmt.Sprintf("1-%d", n), Counters: control.Counters{BytesIn: in, BytesOut: out},
	}
}

// observe runs an observer in a bubble while play plays.
func observe(t *testing.T, list []control.Device, play func(t *testing.T, o *Observer, d *daemon)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{}
		d.set(make(chan control.Event), list...)
		ctx, stop := context.WithCancel(context.Background())
		o := New(d)
		done := make(chan struct{})
		go func() { o.Run(ctx); close(done) }()
		synctest.Wait()
		play(t, o, d)
		stop()
		<-done
	})
}

func texts(log []Entry) (all []string) {
	for _, e := range log {
		all = append(all, e.Name+"|"+e.Kind+"|"+e.Text)
	}
	return all
}

func TestRates(t *testing.T) {
	list := []control.Device{device(1, "trusted", 1000, 0), device(2, "trusted", 5, 5)}
	observe(t, list, func(t *testing.T, o *Observer, d *daemon) {
		first := o.Since(0)
		if len(first.Phones) != 2 || len(first.Keys) != 2 || first.History == nil || first.Daemon == nil || !first.Daemon.Connected || !first.Daemon.Operate {
			t.Fatalf("the first view is %+v", first)
		}
		if got := first.Traffic["1-1"]; got.BytesIn != 1000 || got.InRate != 0 || got.Bin.In != 0 {
			t.Errorf("bytes from before are no rate: %+v", got)
		}
		d.set(d.events, device(1, "trusted", 5000, 200), device(2, "trusted", 5, 5))
		time.Sleep(interval)
		synctest.Wait()
		v := o.Since(first.Version)
		if v.Keys != nil || v.Phones != nil || v.History != nil || len(v.Traffic) != 1 {
			t.Errorf("want the traffic of one phone alone, got %+v", v)
		}
		if got := v.Traffic["1-1"]; got.InRate != 2000 || got.OutRate != 100 || got.Bin.In != 4000 || got.Bin.Out != 200 {
			t.Errorf("want 2000 and 100 bytes a second, got %+v", got)
		}
		if v.Total == nil || v.Total.In != 4000 {
			t.Errorf("total %+v", v.Total)
		}
		changed := o.Changed()
		time.Sleep(interval)
		synctest.Wait()
		select {
		case <-changed: // the rate is 0 again
		default:
			t.Error("the end of the traffic is no change")
		}
		changed, v = o.Changed(), o.Since(0)
		time.Sleep(10 * interval)
		synctest.Wait()
		select {
		case <-changed:
			t.Error("silence is a change")
		default:
		}
		if v := o.Since(v.Version); v.Traffic != nil || len(v.Log) > 0 {
			t.Errorf("silence shows as %+v", v)
		}
		// A recovery, by whomever, is an event.
		mended := device(1, "trusted", 5000, 200)
		mended.LastRecovery = &control.Recovery{Time: time.Now(), Action: control.ActionReset, Reason: "it took nothing"}
		v = o.Since(0)
		d.set(d.events, mended, device(2, "trusted", 5, 5))
		time.Sleep(2 * interval)
		synctest.Wait()
		if got := texts(o.Since(v.Version).Log); !slices.Equal(got, []string{"Phone 1|recovery|Reset over USB: it took nothing."}) {
			t.Errorf("a recovery shows as %q", got)
		}
		// A replug between two looks begins to count anew.
		d.set(d.events, device(1, "trusted", 300, 0), device(2, "trusted", 5, 5))
		time.Sleep(interval)
		synctest.Wait()
		if got := o.Since(0).Traffic["1-1"]; got.InRate != 150 {
			t.Errorf("want 150 bytes a second after a replug, got %+v", got)
		}
		points := o.Since(0).History.Phones["1-1"]
		var in uint64
		for _, n := range points.In {
			in += n
		}
		if in != 4300 {
			t.Errorf("the hour has %d bytes, want 4300", in)
		}
	})
}

func TestComingAndGoing(t *testing.T) {
	list := []control.Device{device(1, "trusted", 0, 0), device(2, "dialog-shown", 0, 0)}
	observe(t, list, func(t *testing.T, o *Observer, d *daemon) {
		events := d.events
		v := o.Since(0)
		if len(v.Log) != 1 || v.Log[0].Kind != "daemon" {
			t.Errorf("what was there is no news: %q", texts(v.Log))
		}
		events <- control.Event{Type: control.DeviceChanged, Device: device(2, "denied", 0, 0), Time: time.Now()}
		events <- control.Event{Type: control.DeviceRemoved, Device: device(1, "trusted", 0, 0), Time: time.Now()}
		events <- control.Event{Type: control.DeviceAdded, Device: device(3, "connecting", 0, 0), Time: time.Now()}
		events <- control.Event{Type: control.DeviceAdded, Device: control.Device{PortPath: "1-4", Trust: "connecting"}, Time: time.Now()}
		synctest.Wait()
		next := o.Since(v.Version)
		want := []string{"Phone 2|state|It is denied.", "Phone 1|unplugged|Unplugged.", "Phone 3|plugged|Plugged in at port 1-3.", "|plugged|A device was plugged in at port 1-4."}
		if got := texts(next.Log); !slices.Equal(got, want) {
			t.Errorf("log: want %q, got %q", want, got)
		}
		if !slices.Equal(next.Keys, []string{"1-2", "1-3", "1-4"}) || len(next.Phones) != 3 || next.Phones[0].Standing != Fault {
			t.Errorf("got %+v", next)
		}
	})
}

// TestDaemonRestarts asserts that the phones are still shown while the daemon is
// away, that it says so, and what has changed meanwhile.
func TestDaemonRestarts(t *testing.T) {
	list := []control.Device{device(1, "trusted", 0, 0), device(2, "trusted", 0, 0)}
	observe(t, list, func(t *testing.T, o *Observer, d *daemon) {
		events := d.events
		v := o.Since(0)
		d.set(nil)
		close(events)
		synctest.Wait()
		lost := o.Since(v.Version)
		if lost.Daemon == nil || lost.Daemon.Connected || lost.Daemon.Problem == "" || lost.Keys != nil {
			t.Fatalf("without a daemon: %+v", lost)
		}
		if err := o.Sample(t.Context()); err == nil {
			t.Error("there are counters without a daemon")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		// "it went", then "nobody listens", and that once.
		if n := len(o.Since(v.Version).Log); n != 2 {
			t.Errorf("%d entries for one absence: %q", n, texts(o.Since(v.Version).Log))
		}
		d.set(make(chan control.Event), device(2, "trusted", 0, 0), device(3, "trusted", 0, 0))
		time.Sleep(2 * maxBackoff)
		synctest.Wait()
		back := o.Since(lost.Version)
		if back.Daemon == nil || !back.Daemon.Connected || !slices.Equal(back.Keys, []string{"1-2", "1-3"}) {
			t.Errorf("after the restart: %+v", back)
		}
		got := texts(back.Log)
		for _, want := range []string{"Phone 1|unplugged|Unplugged.", "Phone 3|plugged|Plugged in at port 1-3.", "|daemon|The daemon answers again."} {
			if !slices.Contains(got, want) {
				t.Errorf("the log lacks %q: %q", want, got)
			}
		}
	})
}

func TestBounded(t *testing.T) {
	o := New(&daemon{})
	present := map[string]bool{}
	set := &present
	o.hear(control.Event{Type: control.Ready}, set)
	for i := range 2000 {
		dev := device(i, "trusted", 0, 0)
		o.hear(control.Event{Type: control.DeviceAdded, Device: dev}, set)
		o.hear(control.Event{Type: control.DeviceRemoved, Device: dev}, set)
	}
	if len(o.series) > maxSeries || len(o.log.entries) > maxLog || len(o.marks) > maxLog || len(o.phones) != 0 {
		t.Errorf("%d series, %d entries, %d marks, %d phones are kept", len(o.series), len(o.log.entries), len(o.marks), len(o.phones))
	}
	if v := o.Since(0); len(v.Log) != maxLog || v.Log[0].Seq != o.log.seq-maxLog+1 {
		t.Errorf("a view has %d entries", len(v.Log))
	}
}

// TestSampleOnce asserts that many who ask at once cost the daemon one answer.
func TestSampleOnce(t *testing.T) {
	observe(t, []control.Device{device(1, "trusted", 0, 0)}, func(t *testing.T, o *Observer, d *daemon) {
		time.Sleep(interval / 2)
		before := d.asked
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := o.Sample(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait() // a lock is waited for, which no bubble's clock goes past
		if n := d.asked - before; n != 1 {
			t.Errorf("the daemon was asked %d times", n)
		}
	})
}

func TestSeries(t *testing.T) {
	var s Series
	start := time.Unix(1_800_000_000, 0)
	if p := s.Points(start); len(p.In) != 0 {
		t.Errorf("an empty hour has %d points", len(p.In))
	}
	s.add(start, 1, 2)
	s.add(start.Add(Step), 3, 4)
	s.add(start.Add(10*Step), 5, 6)
	p := s.Points(start.Add(11 * Step))
	if want := []uint64{1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0}; !slices.Equal(p.In, want) {
		t.Errorf("want %v, got %v", want, p.In)
	}
	if p := s.Points(start.Add(time.Hour)); len(p.In) != Bins || p.In[0] != 3 {
		t.Errorf("after an hour the first bin is still there, or the second is not: %v", p.In)
	}
	if p := s.Points(start.Add(3 * time.Hour)); len(p.In) != 0 {
		t.Errorf("after hours there are %d points", len(p.In))
	}
	s.add(start.Add(24*time.Hour), 7, 0)
	if p := s.Points(start.Add(24 * time.Hour)); !slices.Equal(p.In, []uint64{7}) {
		t.Errorf("want the last alone, got %v", p.In)
	}
	s.add(start, 9, 9) // a clock that was set back counts into the newest bin
	if _, in, _ := s.newest(); in != 16 {
		t.Errorf("a clock set back: %d", in)
	}
}

// TestStandings asserts that every state has one, and that ready ones need nobody.
func TestStandings(t *testing.T) {
	count := make(map[Standing]int)
	for _, s := range trust.States() {
		count[StandingOf(string(s))]++
	}
	for _, s := range []Standing{Ready, Pending, Person, Fault} {
		if count[s] == 0 {
			t.Errorf("no state is %s", s)
		}
	}
	if StandingOf("trusted") != Ready || StandingOf("locked") != Person || StandingOf("recovery") != Fault || StandingOf("of-2030") != Fault {
		t.Error("standings are mixed up")
	}
}
