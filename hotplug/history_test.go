package hotplug

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever happens to eight ports, with events lost, late, doubled and invented
// and a receiver that takes its time: the events alternate for each port, and
// once everything rests they have told what is there.
func TestAnyHistoryIsConsistent(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	scripted(t, nil, func(t *testing.T, s *session) {
		real := map[string]int{} // port to address
		told := map[string]int{}
		take := func() bool {
			synctest.Wait()
			select {
			case ev := <-s.events:
				d := ev.Device
				_, known := told[d.Port]
				switch {
				case ev.Action == Scanned:
				case ev.Action == Add && !known:
					told[d.Port] = d.Address
				case ev.Action == Remove && told[d.Port] == d.Address:
					delete(told, d.Port)
				default:
					t.Fatalf("%s, while the receiver knows of %v", show(ev), told)
				}
				return true
			default:
				return false
			}
		}
		next := 1
		for range 600 {
			port := fmt.Sprintf("1-%d", 1+rnd.IntN(8))
			address, there := real[port]
			action := "add"
			switch {
			case rnd.IntN(8) == 0:
				take()
				continue
			case there:
				s.unplug(port)
				delete(real, port)
				action = "remove"
			default:
				next = next%127 + 1
				address = next
				s.plug(phone{port: port, address: address})
				real[port] = address
			}
			for range rnd.IntN(3) { // 0: lost
				s.src.kernel(action, port, address)
			}
			switch rnd.IntN(20) {
			case 0:
				s.src.items <- item{err: errLost}
			case 1:
				s.src.kernel(strings.Split("add remove change bind unbind", " ")[rnd.IntN(5)], port, 1+rnd.IntN(127))
			}
			// The tree must not change under a look at it, as a real one cannot in
			// the middle of a directory handle.
			synctest.Wait()
		}
		s.m.Rescan()
		for take() {
		}
		if len(told) != len(real) {
			t.Fatalf("told of %v; want %v", told, real)
		}
		for port, address := range real {
			if told[port] != address {
				t.Fatalf("told of %v; want %v", told, real)
			}
		}
		if n := len(s.m.rescan); n != 0 {
			t.Errorf("%d rescans wait; want 0", n)
		}
	})
}
