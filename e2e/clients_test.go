package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/e2e"
)

const (
	firstPhone  = "00008110-000A111122220000"
	secondPhone = "00008110-000A111122220001"
)

func TestListPairQueryUnpair(t *testing.T) {
	r := start(t, e2e.Config{})
	if out := run(t, r, "", "idevice_id", "-l"); out != firstPhone {
		t.Fatalf("want %s alone, got %q", firstPhone, out)
	}
	run(t, r, "iPhone14,5", "ideviceinfo", "-s", "-k", "ProductType")
	fails(t, r, "", "idevicepair", "validate")
	pair(t, r)
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
	run(t, r, "Virtual iPhone", "ideviceinfo", "-k", "DeviceName")
	run(t, r, firstPhone, "ideviceinfo")
	run(t, r, "Virtual iPhone", "idevicename")

	path, data := record(t, r)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("want a private record, got %v, %v", st.Mode(), err)
	}
	for _, key := range []string{"HostID", "SystemBUID", "HostPrivateKey", "RootPrivateKey", "DeviceCertificate", "EscrowBag", "WiFiMACAddress"} {
		if !bytes.Contains(data, []byte("<key>"+key+"</key>")) {
			t.Errorf("the record has no %s", key)
		}
	}
	if buid := run(t, r, "-", "idevicepair", "systembuid"); !strings.Contains(string(data), buid) {
		t.Errorf("the record does not name this computer, %s", buid)
	}

	run(t, r, "SUCCESS: Unpaired", "idevicepair", "unpair")
	fails(t, r, "", "idevicepair", "validate")
	if _, err := os.Stat(path); err == nil {
		t.Error("the record is still there after unpair")
	}
	if kept, _ := filepath.Glob(filepath.Join(r.Records, ".replaced", "*")); len(kept) == 0 {
		t.Error("no copy of the deleted record is kept")
	}
}

// TestRecordsAreListedByAnyone asserts that idevicepair list, which reads the
// record directory itself, works for a plain user although records are private.
// It runs in a mount namespace where our directory is /var/lib/lockdown.
func TestRecordsAreListedByAnyone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a mount namespace")
	}
	r := start(t, e2e.Config{})
	pair(t, r)
	if st, err := os.Stat(r.Records); err != nil || st.Mode().Perm() != 0o755 {
		t.Fatalf("want a directory that all may list, got %v, %v", st.Mode(), err)
	}
	run(t, r, firstPhone, "unshare", "-m", "sh", "-ec",
		`mount -t tmpfs none /var/lib && chmod 755 /var/lib && mkdir /var/lib/lockdown && mount --bind "$1" /var/lib/lockdown &&
		exec setpriv --reuid=65534 --regid=65534 --clear-groups idevicepair list`, "sh", r.Records)
}

func TestDontTrustThenAgain(t *testing.T) {
	r := start(t, e2e.Config{})
	fails(t, r, "accept the trust dialog", "idevicepair", "pair")
	phone(t, r, "tap", "dont-trust")
	fails(t, r, "denied the trust dialog", "idevicepair", "pair")
	phone(t, r, "unplug")
	awaitAway(t, r)
	phone(t, r, "replug")
	awaitListed(t, r, 1)
	pair(t, r)
}

func TestLockedWithPasscode(t *testing.T) {
	r := start(t, e2e.Config{Passcode: "1234"})
	phone(t, r, "lock")
	fails(t, r, "passcode", "idevicepair", "pair")
	phone(t, r, "unlock", "1234")
	fails(t, r, "accept the trust dialog", "idevicepair", "pair")
	phone(t, r, "tap", "trust")
	fails(t, r, "accept the trust dialog", "idevicepair", "pair") // the passcode is still asked for
	phone(t, r, "passcode", "1234")
	run(t, r, "SUCCESS: Paired", "idevicepair", "pair")
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
}

func TestForgottenByThePhone(t *testing.T) {
	r := start(t, e2e.Config{})
	pair(t, r)
	phone(t, r, "forget")
	fails(t, r, "", "idevicepair", "validate")
	fails(t, r, "", "ideviceinfo", "-k", "DeviceName")
	pair(t, r)
}

// TestOldPhones runs the tools against phones from before the Trust dialog to
// the newest.
func TestOldPhones(t *testing.T) {
	for _, version := range []string{"6.1.3", "9.3.5", "12.5.7", "26.1"} {
		t.Run(version, func(t *testing.T) {
			r := start(t, e2e.Config{Version: version})
			if strings.HasPrefix(version, "6.") {
				run(t, r, "SUCCESS: Paired", "idevicepair", "pair")
			} else {
				pair(t, r)
			}
			run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
			run(t, r, version, "ideviceinfo", "-k", "ProductVersion")
		})
	}
}

func TestSyslogAndDiagnostics(t *testing.T) {
	r := start(t, e2e.Config{})
	pair(t, r)
	cmd := r.Command(limit(t), "stdbuf", "-oL", "idevicesyslog", "-u", firstPhone)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := follow(out)
	await(t, lines, "[connected")
	phone(t, r, "log", "the answer is 42")
	await(t, lines, "the answer is 42")
	phone(t, r, "unplug")
	await(t, lines, "[disconnected")
	phone(t, r, "replug")
	await(t, lines, "[connected")
	_ = cmd.Process.Kill()
	for range lines {
	}
	_ = cmd.Wait() // killed

	run(t, r, "<key>GasGauge</key>", "idevicediagnostics", "diagnostics", "GasGauge")
}

func TestIfuse(t *testing.T) {
	r := start(t, e2e.Config{})
	pair(t, r)
	mount := filepath.Join(t.TempDir(), "phone")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, r, "", "ifuse", mount)
	defer exec.Command("fusermount", "-u", "-z", mount).Run() // if the test has failed before
	data := bytes.Repeat([]byte("sixteen bytes..\n"), 1<<20)
	name := filepath.Join(mount, "Downloads", "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("want the %d bytes back, got %d, %v", len(data), len(got), err)
	}
	if _, err := os.Stat(filepath.Join(mount, "DCIM")); err != nil {
		t.Fatal(err)
	}
	run(t, r, "", "fusermount", "-u", mount)
}
