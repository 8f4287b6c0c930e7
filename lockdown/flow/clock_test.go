package flow_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
)

// TestClockSteps has the computer's clock step, by a little or by decades, between
// two plugs: a note of the record's last use that makes no sense costs nobody a
// dialog, does not let the estimate of its end leave its bounds, and is mended by
// the next use.
func TestClockSteps(t *testing.T) {
	at := func(at string) string { return at + "\n" }
	for name, note := range map[string]string{
		"clock set right by decades":  at("1970-01-01T00:00:04Z"), // a computer without a battery
		"clock set back by an hour":   at(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC).Format(time.RFC3339)),
		"clock set back by a century": at("2106-02-07T06:28:15Z"),
		"clock set back by ages":      at("9999-12-31T23:59:59Z"),
		"no time":                     at("yesterday"),
		"nothing":                     "",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, coded, flow.Config{}, func(r *rig) {
				r.plug()
				r.accept()
				r.pull()
				r.must(os.WriteFile(filepath.Join(r.dir, ".used", udid), []byte(note), 0o600))

				r.must(r.phone.Reboot()) // locked, so that the note stays
				r.plug()
				r.expect(time.Second, trust.LockedSinceBoot)
				if days := r.status().Expires; days != nil && (*days < 0 || *days > 30) {
					t.Errorf("the pairing ends in %d days", *days)
				}
				r.must(r.phone.Unlock(code))
				r.expect(time.Minute, trust.Trusted)
				if days := r.status().Expires; days == nil || *days != 30 {
					t.Errorf("used just now, it ends in %v days, want 30", days)
				}
				if got := r.disk(); got != "record used" {
					t.Errorf("on disk: %q", got)
				}
				if n := r.phone.Stats().Dialogs; n != 1 {
					t.Errorf("%d dialogs", n)
				}
				time.Sleep(time.Hour)
				r.expect(0, trust.Trusted)
			})
		})
	}
}
