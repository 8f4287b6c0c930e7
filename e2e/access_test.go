package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// TestOtherUsers runs the tools as a person, as a service and as nobody: all find
// the phone, and only people get its keys.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be others")
	}
	r := start(t, e2e.Config{})
	passable(t, r.Dir)
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	for _, tt := range []struct {
		name string
		uid  uint32
		keys bool
	}{{"root", 0, true}, {"a person", 1000, true}, {"www-data", 33, false}, {"nobody", 65534, false}} {
		t.Run(tt.name, func(t *testing.T) {
			as := func(name string, args ...string) (string, error) {
				cmd := r.Command(limit(t), name, args...)
				cmd.Env = append(cmd.Env, "HOME=/nonexistent")
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.uid, Gid: tt.uid}}
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if out, err := as("idevice_id", "-l"); err != nil || !strings.Contains(out, firstPhone) {
				t.Errorf("idevice_id -l: %q, %v", out, err)
			}
			// Names and versions are told to whoever can reach the phone; a session
			// wants the keys.
			if out, err := as("ideviceinfo", "-s", "-k", "ProductVersion"); err != nil {
				t.Errorf("ideviceinfo -s: %q, %v", out, err)
			}
			out, err := as("idevicepair", "validate")
			if (err == nil) != tt.keys {
				t.Errorf("idevicepair validate: %q, %v", out, err)
			}
		})
	}
	for _, want := range []string{"pair record read", `"uid": 1000`, "refused", `"uid": 33`, "uid 65534"} {
		if !strings.Contains(r.Log(), want) {
			t.Errorf("the log lacks %q\n%s", want, r.Log())
		}
	}
}

// passable lets other users come to what is below a directory.
func passable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.Mode()&0o001 == 0 {
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}
}
