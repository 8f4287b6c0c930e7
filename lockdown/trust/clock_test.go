package trust

import (
	"strings"
	"testing"
	"time"
)

// TestTimesAreMonotonic asserts that what is due is due by the clock that nobody can
// set: a step of the computer's time neither hurries a deed nor keeps it back.
func TestTimesAreMonotonic(t *testing.T) {
	for name, results := range map[string][]Result{
		"trusted":    {withOurs, opened},
		"locked":     {withOurs, lockedNow},
		"dialog":     {phone, fine, dialogUp},
		"no answer":  {because("silence")},
		"record bad": {withOurs, because(CauseTLS)},
	} {
		now := time.Now()
		m := New(Config{Policy: Auto}, now)
		for i, r := range results {
			deed, at := m.Next(now)
			if deed == Rest {
				t.Fatalf("%s: nothing to do before result %d, until %v", name, i, at)
			}
			m.Done(now, deed, r)
		}
		deed, at := m.Next(now)
		if deed != Rest || !at.After(now) {
			t.Fatalf("%s: %v at %v, want a rest", name, deed, at)
		}
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s: %v is a time of day", name, at)
		}
	}
}
