package virtualphone

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// controlSocket serves phones on a Unix socket until the test ends.
func controlSocket(t *testing.T, phones ...*Phone) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "phone.sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ServeControl(ctx, l, func() []*Phone { return phones }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeControl: %v", err)
		}
	})
	return path
}

func TestControl(t *testing.T) {
	p := newPhone(t, Config{Passcode: "77"})
	h := dialPhone(t, plug(t, p))
	path := controlSocket(t, p)
	send := func(command string, args ...string) (ControlResponse, error) {
		return Control(t.Context(), path, ControlRequest{Command: command, Args: args})
	}
	ok := func(command string, args ...string) State {
		t.Helper()
		a, err := send(command, args...)
		must(t, err)
		return *a.State
	}
	fails := func(want, command string, args ...string) {
		t.Helper()
		if _, err := send(command, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: %v, want an error with %q", command, args, err, want)
		}
	}
	fails("no dialog is shown; no host has asked to pair", "tap", "trust")
	fails("missing argument: usage: tap trust|dont-trust|dismiss", "tap")
	fails(`"x" is not one of network|all|location`, "reset", "x")
	fails("too many arguments", "lock", "1")
	fails("unknown command", "dance")
	if s := ok("lock"); !s.Locked {
		t.Errorf("lock: %+v", s)
	}
	fails("unlock CODE", "unlock")
	fails("wrong passcode", "unlock", "1")
	ok("unlock", "77")

	l := lockdownOf(h)
	c := l.computer("H", "B")
	waited := make(chan error, 1)
	go func() {
		_, err := Control(context.Background(), path, ControlRequest{Command: "wait", Args: []string{"dialog"}, Timeout: "20s"})
		waited <- err
	}()
	l.pair(c, "PairingDialogResponsePending")
	must(t, <-waited)
	if s := ok("tap", "trust"); s.Dialog != PasscodeDialog {
		t.Errorf("dialog = %s", s.Dialog)
	}
	ok("passcode", "77")
	l.pair(c, "")
	if s := ok("wait", "trusted"); len(s.Hosts) != 1 {
		t.Errorf("hosts = %v", s.Hosts)
	}
	if s := ok("forget"); len(s.Hosts) != 0 {
		t.Errorf("hosts = %v", s.Hosts)
	}
	ok("log", "hello there")
	if s := ok("unplug"); s.Plugged {
		t.Error("still plugged")
	}
	if s := ok("replug"); !s.Plugged {
		t.Error("not plugged")
	}
	if s := ok("reboot"); !s.LockedSinceBoot {
		t.Errorf("after reboot: %+v", s)
	}
	_, err := Control(t.Context(), path, ControlRequest{Command: "wait", Args: []string{"dialog"}, Timeout: "1ms"})
	if err == nil || !strings.Contains(err.Error(), "timed out waiting for dialog; the phone is locked: unlock it") {
		t.Errorf("wait: %v", err)
	}
	p.violate(&p.violations.BadSeq, "made up")
	a, err := send("violations")
	must(t, err)
	if a.Violations["bad seq"] != 1 || len(a.Notes) != 1 {
		t.Errorf("violations = %+v", a)
	}
}

func TestControlSeveral(t *testing.T) {
	one, two := newPhone(t, Config{}), newPhone(t, Config{UDID: strings.Repeat("ab", 20)})
	path := controlSocket(t, one, two)
	a, err := Control(t.Context(), path, ControlRequest{Command: "status"})
	if err != nil || len(a.Phones) != 2 {
		t.Fatalf("status = %+v, %v", a, err)
	}
	if _, err := Control(t.Context(), path, ControlRequest{Command: "replug"}); err == nil || !strings.Contains(err.Error(), "--phone") {
		t.Errorf("no phone named: %v", err)
	}
	for _, id := range []string{one.UDID(), one.Serial()} {
		a, err := Control(t.Context(), path, ControlRequest{Command: "replug", Phone: id})
		if err != nil || a.State.UDID != one.UDID() {
			t.Errorf("replug of %s = %+v, %v", id, a, err)
		}
	}
	if _, err := Control(t.Context(), path, ControlRequest{Command: "status", Phone: "nobody"}); err == nil || !strings.Contains(err.Error(), two.UDID()) {
		t.Errorf("wrong phone: %v", err)
	}
}

// TestControlGarbage: what is no request gets an answer or an end, and the end of
// a client ends its wait.
func TestControlGarbage(t *testing.T) {
	path := controlSocket(t, newPhone(t, Config{}))
	for _, line := range []string{"hello\n", "[]\n", strings.Repeat("x", maxControlLine+10)} {
		c, err := net.Dial("unix", path)
		must(t, err)
		io.WriteString(c, line)
		var a ControlResponse
		b, _ := bufio.NewReader(c).ReadBytes('\n')
		if len(b) > 0 && (json.Unmarshal(b, &a) != nil || a.Error == "") {
			t.Errorf("answer to %.20q = %q", line, b)
		}
		c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Control(ctx, path, ControlRequest{Command: "wait", Args: []string{"dialog"}}); err == nil {
		t.Error("wait without an event ended well")
	}
}

func TestControlMisbehavior(t *testing.T) {
	p := newPhone(t, Config{Passcode: "77"})
	h := dialPhone(t, plug(t, p))
	path := controlSocket(t, p)
	do := func(want, command string, args ...string) {
		t.Helper()
		_, err := Control(t.Context(), path, ControlRequest{Command: command, Args: args})
		if want == "" {
			must(t, err)
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: %v, want an error with %q", command, args, err, want)
		}
	}
	l := lockdownOf(h)
	c := l.computer("H", "B")

	do("", "fail", "Pair", "FMiPProtected")
	l.pair(c, "FMiPProtected")
	do("", "fail", "Pair", "EscrowLocked", "always")
	l.pair(c, "EscrowLocked")
	do("", "heal", "Pair")
	do("", "garbage", "Pair", "missing-keys")
	l.pair(c, "")
	do(`"jam" is not one of wrong-types|`, "garbage", "Pair", "jam")
	do(`"often" is not one of always`, "silence", "Pair", "often")
	do("", "silence", "*", "always")
	do("", "silence", "Pair")
	do("", "garbage", "Pair", "hang-up", "always")
	do("", "heal")
	if len(p.forcedNext)+len(p.forcedEver) != 0 {
		t.Error("not healed")
	}
	do("", "tls", "abort")
	do("", "tls", "accept")

	for _, s := range []struct{ name, value, want string }{
		{"dialog-delay", "20s", ""}, {"tap-notifies", "on", ""}, {"reject-answer", "UserDeniedPairing", ""},
		{"dialog-delay", "-1s", "is a time like 30s"}, {"tap-notifies", "perhaps", "is on or off"}, {"mood", "bad", "no behavior"},
	} {
		do(s.want, "behavior", s.name, s.value)
	}
	if b, want := p.Behavior(), (Behavior{DialogDelay: 20 * time.Second, TapNotifies: true, RejectAnswer: "UserDeniedPairing"}); b != want {
		t.Errorf("behavior %+v, want %+v", b, want)
	}
	do("", "behavior", "dialog-delay", "off")
	do("", "behavior", "reject-answer", "off")
	if b, want := p.Behavior(), (Behavior{TapNotifies: true}); b != want {
		t.Errorf("behavior %+v, want %+v", b, want)
	}
	do("", "wait", "dialog")
	do("", "tap", "dismiss")
	do("", "wait", "gone")

	boss := certificate(t, &testKeys()[2].PublicKey, nil, testKeys()[2], x509.SHA256WithRSA)
	do("", "supervise", string(pemOf(boss)))
	if !p.State().Supervised {
		t.Error("not supervised")
	}
	do("no certificate", "supervise", "boss")
	do("", "supervise", "off")

	do("", "behavior", "usb-restricted", "on")
	do("", "behavior", "usb-restricted-after", "1ms")
	do("", "lock")
	do("", "wait", "restricted")
	do("", "unlock", "77")
	do("", "set-passcode", "off")
	do("no passcode", "lock")
	do("", "erase")
	do("", "finish-setup")
	do("not in setup", "finish-setup")
}
