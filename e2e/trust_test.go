package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// awaitTrust waits until the first phone is in a state, and returns all states that
// it was seen in on the way.
func awaitTrust(t *testing.T, r *e2e.Rig, want trust.State) (seen []trust.State) {
	t.Helper()
	done := errors.New("there")
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	err := control.Dial(r.Control()).Watch(ctx, func(ev control.Event) error {
		if ev.Type == control.DeviceRemoved {
			return nil
		}
		seen = append(seen, trust.State(ev.Device.Trust))
		if trust.State(ev.Device.Trust) == want {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("want state %v, saw %v, %v\n%s", want, seen, err, r.Log())
	}
	return seen
}

// muxctl runs the operator's tool, which must succeed and print want.
func muxctl(t *testing.T, r *e2e.Rig, want string, args ...string) string {
	t.Helper()
	out, err := r.Muxctl(limit(t), args...)
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("muxctl %v: want %q, got %q, %v\n%s", args, want, out, err, r.Log())
	}
	return out
}
