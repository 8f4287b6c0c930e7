package control

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// next returns the event that waits, or nil.
func next(t *testing.T, s *Subscription) *Event {
	t.Helper()
	select {
	case e := <-s.Events():
		return e
	default:
		return nil
	}
}

func TestPut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Device)
		want   EventType // "" is none
	}{
		{"nothing", func(*Device) {}, ""},
		{"counters", func(d *Device) { d.Sessions, d.BytesIn, d.BytesOut = 1, 2, 3 }, ""},
		{"days", func(d *Device) { d.ExpiresInDays = ptr(4) }, ""},
		{"equal pointers", func(d *Device) { d.UDID, d.DeviceID = ptr(annasUDID), ptr(uint32(3)) }, ""},
		{"trust", func(d *Device) { d.Trust = "trusted" }, DeviceChanged},
		{"cause", func(d *Device) { d.Cause = "shown-late" }, DeviceChanged},
		{"name", func(d *Device) { d.Name = "Bea's iPhone" }, DeviceChanged},
		{"capacity", func(d *Device) { d.Capacity = nil }, DeviceChanged},
		{"id", func(d *Device) { d.DeviceID = ptr(uint32(4)) }, DeviceChanged},
		{"since", func(d *Device) { d.Since = time.Unix(1, 0) }, DeviceChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := NewHub(Config{})
			h.Put("1-2", anna())
			_, s := h.Subscribe()
			defer s.Close()
			d := anna()
			tt.change(&d)
			h.Put("1-2", d)
			e := next(t, s)
			switch {
			case tt.want == "" && e != nil:
				t.Errorf("an event: %+v, want none", e)
			case tt.want != "" && (e == nil || e.Type != tt.want || e.Device.Trust != d.Trust):
				t.Errorf("event = %+v, want %s of %+v", e, tt.want, d)
			}
		})
	}
}

func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(Config{})
		put := func(trust, name string, since time.Time) time.Time {
			d := anna()
			d.Trust, d.Name, d.Since = trust, name, since
			h.Put("1-2", d)
			got := h.Devices()[0].Since
			time.Sleep(time.Minute)
			return got
		}
		start := time.Now()
		if got := put("locked", "A", time.Time{}); !got.Equal(start) {
			t.Errorf("new: since %v, want %v", got, start)
		}
		if got := put("locked", "B", time.Time{}); !got.Equal(start) {
			t.Errorf("another name: since %v, want %v", got, start)
		}
		if got, want := put("trusted", "B", time.Time{}), start.Add(2*time.Minute); !got.Equal(want) {
			t.Errorf("another state: since %v, want %v", got, want)
		}
		if got, want := put("trusted", "B", start), start; !got.Equal(want) {
			t.Errorf("given: since %v, want %v", got, want)
		}
		if got, want := put("trusted", "C", time.Time{}), start; !got.Equal(want) {
			t.Errorf("given before: since %v, want %v", got, want)
		}
	})
}

// The hub calls nothing of its Config under its lock, keeps no pointer of the
// caller's, and asks for counters whenever devices are shown.
func TestWordsAndCounters(t *testing.T) {
	var h *Hub
	n := 0
	h = NewHub(Config{
		Words: func(d Device) (string, string) {
			h.Find("nobody")
			return "it is " + d.Trust, "wait"
		},
		Counters: func(key string) Counters {
			n++
			h.mu.Lock() // would not return if it were held
			defer h.mu.Unlock()
			return Counters{Sessions: n, BytesIn: uint64(len(key)), BytesOut: 9}
		},
	})
	d := anna()
	h.Put("1-2", d)
	*d.UDID = "changed"
	got := h.Devices()[0]
	if *got.UDID != annasUDID || got.Reason != "it is dialog-shown" || got.NextStep != "wait" || got.BytesIn != 3 || got.BytesOut != 9 {
		t.Errorf("Devices = %+v", got)
	}
	before := n
	if _, d, err := h.Find("1-2"); err != nil || d.Sessions <= before {
		t.Errorf("Find = %+v, %v; want %d sessions or more", d, err, before+1)
	}
	if list, s := h.Subscribe(); list[0].Sessions <= before+1 {
		t.Errorf("Subscribe shows %d sessions", list[0].Sessions)
		s.Close()
	}
}

func TestOrder(t *testing.T) {
	h := NewHub(Config{})
	b := recovery()
	b.PortPath = "1-9"
	h.Put("2-1", recovery())
	h.Put("1-2", anna())
	h.Put("1-9", b)
	h.Put("1-3", old())
	var got []string
	for _, d := range h.Devices() {
		got = append(got, d.PortPath)
	}
	if want := []string{"1-3", "1-2", "1-9", "2-1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestRemove(t *testing.T) {
	h := NewHub(Config{})
	h.Put("1-2", anna())
	_, s := h.Subscribe()
	h.Remove("1-3")
	h.Remove("1-2")
	h.Remove("1-2")
	if e := next(t, s); e == nil || e.Type != DeviceRemoved || e.Device.Name != "Anna's iPhone" || e.Time.IsZero() {
		t.Errorf("event = %+v", e)
	}
	if e := next(t, s); e != nil {
		t.Errorf("one more event: %+v", e)
	}
	s.Close()
	s.Close()
	h.Put("1-2", anna())
	if e, ok := <-s.Events(); ok || s.Err() != nil {
		t.Errorf("after Close: %+v, %v", e, s.Err())
	}
}

func TestSlowSubscriber(t *testing.T) {
	h := NewHub(Config{QueueEvents: 8})
	_, slow := h.Subscribe()
	_, good := h.Subscribe()
	defer good.Close()
	for i := range 20 {
		d := anna()
		d.Name = fmt.Sprint(i)
		h.Put("1-2", d)
		if e := <-good.Events(); e.Device.Name != d.Name {
			t.Fatalf("the good one got %s, want %s", e.Device.Name, d.Name)
		}
	}
	n := 0
	for range slow.Events() {
		n++
	}
	if e := asError(slow.Err()); n != 8 || e.Code != CodeSlow {
		t.Errorf("%d events, then %v; want 8 and %s", n, e, CodeSlow)
	}
	slow.Close()
	if slow.Err() == nil {
		t.Error("Close made the reason be forgotten")
	}
}

// Whatever happens while readers subscribe, each knows in the end what there is,
// has missed no step and seen none twice.
func TestSubscribeWhilePutting(t *testing.T) {
	const keys, rounds, readers = 8, 60, 12
	h := NewHub(Config{QueueEvents: 4 * keys * rounds})
	var writers, watchers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			key := fmt.Sprintf("1-%d", k)
			for i := range rounds {
				d := anna()
				d.PortPath, d.Speed = key, uint64(i)
				h.Put(key, d)
				if i%10 == 9 {
					h.Remove(key)
				}
			}
			h.Put(key, Device{PortPath: key, Speed: rounds})
		})
	}
	for range readers {
		watchers.Go(func() {
			list, s := h.Subscribe()
			defer s.Close()
			now := map[string]uint64{}
			for _, d := range list {
				now[d.PortPath] = d.Speed
			}
			var last time.Time
			for finished := 0; finished < keys; {
				finished = 0
				for _, speed := range now {
					if speed == rounds {
						finished++
					}
				}
				if finished == keys {
					break
				}
				e := <-s.Events()
				was, known := now[e.Device.PortPath]
				if known != (e.Type != DeviceAdded) {
					t.Errorf("%s of %s, known %v", e.Type, e.Device.PortPath, known)
				}
				if e.Type == DeviceChanged && e.Device.Speed != was+1 || e.Type == DeviceRemoved && e.Device.Speed != was {
					t.Errorf("%s: %d after %d", e.Type, e.Device.Speed, was)
				}
				if e.Time.Before(last) {
					t.Errorf("an event of %v after one of %v", e.Time, last)
				}
				last = e.Time
				now[e.Device.PortPath] = e.Device.Speed
				if e.Type == DeviceRemoved {
					delete(now, e.Device.PortPath)
				}
			}
		})
	}
	writers.Wait()
	watchers.Wait()
	if len(h.subscribers) != 0 {
		t.Errorf("%d subscribers are left", len(h.subscribers))
	}
}
