package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/usb"
)

// TestCare plays stories of a phone: what is wrong each time, after a session of some
// length, and what is done about it.
func TestCare(t *testing.T) {
	const reopen, reset, leave = control.ActionReopen, control.ActionReset, control.ActionLeave
	type step struct {
		err    error
		lasted time.Duration
		action string
		after  time.Duration
	}
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	permission, busy := usb.ErrPermission, usb.ErrBusy
	for _, tt := range []struct {
		name   string
		resets int
		steps  []step
	}{
		{"never answers", 2, []step{
			{mux.ErrNoVersion, 0, reopen, s(1)}, {mux.ErrNoVersion, 0, reset, s(2)}, {mux.ErrNoVersion, 0, reset, s(4)},
			{mux.ErrNoVersion, 0, leave, s(8)}, {mux.ErrNoVersion, 0, "", s(16)}, {mux.ErrNoVersion, 0, "", s(30)}, {mux.ErrNoVersion, 0, "", s(30)},
		}},
		{"no reset is allowed", 0, []step{
			{mux.ErrNoVersion, 0, reopen, s(1)}, {mux.ErrNoVersion, 0, leave, s(2)}, {mux.ErrNoVersion, 0, "", s(4)},
		}},
		{"stuck in one way, then in another", 1, []step{
			{mux.ErrStuck, s(60), reopen, s(1)}, {usb.ErrHung, 0, reset, s(2)}, {errSilent, s(120), leave, s(4)}, {mux.ErrNoVersion, 0, "", s(8)},
		}},
		{"comes to itself, and is stuck again later", 1, []step{
			{errSilent, s(120), reopen, s(1)}, {errSilent, s(120), reset, s(2)}, {errSilent, healthy + 1, reopen, s(1)},
		}},
		{"a reset that helps for minutes only", 1, []step{
			{errSilent, s(120), reopen, s(1)}, {errSilent, s(120), reset, s(2)}, {errSilent, healthy, leave, s(4)},
		}},
		{"a bad cable is never reset for", 2, []step{
			{usb.ErrTransfer, s(5), reopen, s(1)}, {usb.ErrStalled, s(5), reopen, s(2)}, {usb.ErrTransfer, s(5), reopen, s(4)},
			{usb.ErrOverflow, s(31), reopen, s(1)},
		}},
		{"what is not the phone's fault", 2, []step{
			{permission, 0, "", s(1)}, {busy, 0, "", s(2)}, {usb.ErrGone, 0, "", s(4)}, {errors.New("odd"), 0, "", s(8)},
			{usb.ErrClaimLost, s(40), "", s(1)}, {mux.ErrNoVersion, 0, reopen, s(2)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c care
			for i, st := range tt.steps {
				got := c.failed(troubleOf(fmt.Errorf("open: %w", st.err)), st.lasted, tt.resets)
				if got.action != st.action || got.after != st.after {
					t.Errorf("step %d, %v: %q after %v, want %q after %v", i, st.err, got.action, got.after, st.action, st.after)
				}
				if stuck := troubleOf(st.err).stuck(); stuck && got.action != "" && got.next == "" {
					t.Errorf("step %d, %v: %q is not told what follows", i, st.err, got.action)
				}
			}
		})
	}
}

// TestTroubles asserts that each trouble has a reason of its own.
func TestTroubles(t *testing.T) {
	seen := map[string]trouble{}
	for _, tr := range []trouble{otherTrouble, noVersion, takesNothing, silentPhone, hangs, brokenUSB, operatorsWish} {
		if other, twice := seen[tr.reason()]; twice {
			t.Errorf("%q and %q say the same: %s", tr, other, tr.reason())
		}
		seen[tr.reason()] = tr
	}
}

// operate is an operator of a daemon without sockets.
func operate(d *muxd) *operator { return &operator{d: d} }

// TestStuckPhone asserts that a phone which never answers is opened anew, reset as
// often as is set, left alone, and used when it comes to itself.
func TestStuckPhone(t *testing.T) {
	rig(t, make([]error, 12), func(ctx context.Context, d *muxd, s *script) {
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		// 5 s of silence, 1 s, 5 s, 2 s, reset, 5 s, 4 s, reset.
		want := []time.Duration{13 * time.Second, 22 * time.Second}
		if fmt.Sprint(s.resets) != fmt.Sprint(want) {
			t.Errorf("resets at %v, want %v", s.resets, want)
		}
		got := d.hub.Devices()[0]
		if got.Recoveries != 3 || got.LastRecovery == nil || got.LastRecovery.Action != control.ActionLeave ||
			got.LastRecovery.Cause != causeVersion || got.Trust != string(trust.NoMux) || got.Cause != causeLeft {
			t.Errorf("%+v, last %+v", got, got.LastRecovery)
		}
		time.Sleep(10 * time.Minute) // it comes to itself
		synctest.Wait()
		if len(s.resets) != 2 || len(ids(d)) != 1 {
			t.Errorf("%d resets, devices %v; want no more resets, and the phone", len(s.resets), ids(d))
		}
	})
}

// TestOperatorsOrders asserts that each order ends the session, is done once, also
// between two attempts, and that a failure says what to do.
func TestOperatorsOrders(t *testing.T) {
	failed := errors.New("no permission")
	rig(t, []error{failed, failed}, func(ctx context.Context, d *muxd, s *script) {
		o := operate(d)
		time.Sleep(firstRetry + 100*time.Millisecond) // in the pause after the second failure
		if err := o.Reset(ctx, "1-1"); err != nil || len(s.resets) != 1 {
			t.Fatalf("reset between attempts: %v, %d resets", err, len(s.resets))
		}
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 1 {
			t.Fatalf("want device 1 at once, got %v", got)
		}
		if err := o.Reset(ctx, "1-1"); err != nil || len(s.resets) != 2 {
			t.Fatalf("reset: %v, %d resets", err, len(s.resets))
		}
		if err := o.Reopen(ctx, "1-1"); err != nil || len(s.resets) != 2 {
			t.Fatalf("reopen: %v, %d resets", err, len(s.resets))
		}
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 3 {
			t.Errorf("want device 3, got %v", got)
		}
		got := d.hub.Devices()[0]
		if got.Recoveries != 3 || got.LastRecovery.Cause != string(operatorsWish) || got.LastRecovery.Action != control.ActionReopen {
			t.Errorf("%d recoveries, the last %+v", got.Recoveries, got.LastRecovery)
		}

		var e *control.Error
		s.refused = usb.ErrPermission
		if err := o.Reset(ctx, "1-1"); !errors.As(err, &e) || e.Code != control.CodeFailed {
			t.Errorf("a reset that fails: %v", err)
		}
		if err := o.Reset(ctx, "9-9"); !errors.As(err, &e) || e.Code != control.CodeAbsent {
			t.Errorf("nobody's reset: %v", err)
		}
		recovery := plugged(hotplug.Add)
		recovery.Device.Path, recovery.Device.Port, recovery.Device.Kind = "/devices/1-2", "1-2", hotplug.Recovery
		d.handle(ctx, recovery)
		if err := o.Reset(ctx, "1-2"); !errors.As(err, &e) || e.Code != control.CodeNoMux {
			t.Errorf("reset in recovery mode: %v", err)
		}
	})
}

// TestOrderOfAHungPhone asserts that an operator is told when the daemon cannot get at
// a device.
func TestOrderOfAHungPhone(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		d.open = func(ctx context.Context, _ hotplug.Device) (unit, error) {
			<-ctx.Done()
			return unit{}, ctx.Err()
		}
		ev := plugged(hotplug.Add)
		ev.Device.Path, ev.Device.Port = "/devices/1-2", "1-2"
		d.handle(ctx, ev)
		var e *control.Error
		start := time.Now()
		if err := operate(d).Reset(ctx, "1-2"); !errors.As(err, &e) || e.Code != control.CodeBusy || time.Since(start) != orderWait {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// TestReplugAfterReset asserts that a phone which a reset has come back as another
// device goes on with what was tried and counted, and that one whose cable was pulled
// does not.
func TestReplugAfterReset(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		replug := func() {
			d.handle(ctx, plugged(hotplug.Remove))
			time.Sleep(time.Second)
			d.handle(ctx, plugged(hotplug.Add))
			synctest.Wait()
		}
		began := d.hub.Devices()[0].PluggedIn
		if err := operate(d).Reset(ctx, "1-1"); err != nil {
			t.Fatal(err)
		}
		replug()
		if got := d.hub.Devices()[0]; got.Recoveries != 1 || !got.PluggedIn.Equal(began) {
			t.Errorf("after the reset: %d recoveries, plugged in %v; want 1, %v", got.Recoveries, got.PluggedIn, began)
		}
		time.Sleep(comesBack)
		replug()
		if got := d.hub.Devices()[0]; got.Recoveries != 0 || got.PluggedIn.Equal(began) {
			t.Errorf("after a replug: %d recoveries, plugged in %v", got.Recoveries, got.PluggedIn)
		}
	})
}

// TestModeByOrder asserts that an operator's mode goes before what is set, for that
// phone alone, and that keep touches nothing.
func TestModeByOrder(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		var allowed []string
		d.maySwitch = func(port string) { allowed = append(allowed, port) }
		o := operate(d)
		if err := o.Mode(ctx, "1-1", 3); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if fmt.Sprint(allowed, d.mode(""), d.mode("other"), ids(d)) != fmt.Sprint([]string{"1-1"}, usb.ModeNCM, usb.ModeInitial, []uint32{2}) {
			t.Errorf("allowed %v, mode %v, of another phone %v, devices %v", allowed, d.mode(""), d.mode("other"), ids(d))
		}
		if err := o.Mode(ctx, "1-1", 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.mode("") != usb.Keep || len(ids(d)) != 1 || ids(d)[0] != 2 {
			t.Errorf("mode %v, devices %v", d.mode(""), ids(d))
		}
		d.maySwitch = nil
		var e *control.Error
		if err := o.Mode(ctx, "1-1", 3); !errors.As(err, &e) || e.Code != control.CodeFailed {
			t.Errorf("without USB: %v", err)
		}
	})
}
