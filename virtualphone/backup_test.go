package virtualphone

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/virtualphone/service"
)

// allowed asks p for a backup and returns how it ends.
func allowed(ctx context.Context, p *Phone) <-chan error {
	result := make(chan error, 1)
	go func() { result <- p.allowBackup(ctx, false) }()
	return result
}

// bubblePhone is newPhone for a bubble, which fails by itself if a goroutine is left.
// The count that newPhone takes may lag behind there, for its pauses take no time.
func bubblePhone(t testing.TB, cfg Config) *Phone {
	t.Helper()
	p, err := New(cfg)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func dialogIs(d Dialog) func(State) bool { return func(s State) bool { return s.Dialog == d } }

func TestBackupPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubblePhone(t, Config{Passcode: "1234"})
		plug(t, p)
		ctx, hangUp := context.WithCancel(t.Context())
		for _, tt := range []struct {
			name string
			do   func() error
			want error
			time time.Duration // it takes
		}{
			{name: "entered", do: func() error {
				if err := p.EnterPasscode("9"); !errors.Is(err, ErrPasscode) {
					t.Errorf("wrong passcode: %v", err)
				}
				return p.EnterPasscode("1234")
			}},
			{name: "cancelled", do: p.CancelPasscode, want: service.ErrDeviceLocked},
			{name: "left alone", do: func() error { return nil }, want: service.ErrDeviceLocked, time: 3 * time.Minute},
			{name: "locked", do: p.Lock, want: service.ErrDeviceLocked},
			{name: "still locked", want: service.ErrDeviceLocked},
			{name: "unplugged", do: func() error {
				p.Unplug()
				_, err := p.Plug()
				return err
			}, want: service.ErrDeviceLocked},
			{name: "host gone", do: func() error { hangUp(); return nil }, want: service.ErrDeviceLocked},
		} {
			begin := time.Now()
			result := allowed(ctx, p)
			if tt.do != nil {
				if _, err := p.Wait(t.Context(), dialogIs(PasscodeDialog)); err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				must(t, tt.do())
			}
			if err := <-result; !errors.Is(err, tt.want) || err != nil && tt.want == nil {
				t.Errorf("%s: want %v, got %v", tt.name, tt.want, err)
			}
			if took := time.Since(begin); took != tt.time {
				t.Errorf("%s: want it to take %v, got %v", tt.name, tt.time, took)
			}
			if s := p.State(); s.Dialog != NoDialog {
				t.Errorf("%s: the %s dialog is left", tt.name, s.Dialog)
			}
			if err := p.CancelPasscode(); !errors.Is(err, ErrNoDialog) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if tt.name == "still locked" {
				must(t, p.Unlock("1234"))
			}
		}
	})
}

// TestBackupPromptWaits asserts that the prompt comes after the Trust dialog, which
// stays as it is, and that a backup's passcode does not pair anybody.
func TestBackupPromptWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bubblePhone(t, Config{Passcode: "1234"})
		p.mu.Lock()
		p.askOwnerLocked(asker{hostID: "H"})
		p.mu.Unlock()
		result := allowed(t.Context(), p)
		synctest.Wait()
		if s := p.State(); s.Dialog != TrustDialog {
			t.Fatalf("want the trust dialog, got %s", s.Dialog)
		}
		must(t, p.TapTrust())
		must(t, p.EnterPasscode("1234"))
		synctest.Wait()
		if s := p.State(); s.Dialog != PasscodeDialog || !s.Accepted {
			t.Fatalf("want the host accepted and the next prompt, got %+v", s)
		}
		must(t, p.CancelPasscode())
		if err := <-result; !errors.Is(err, service.ErrDeviceLocked) {
			t.Errorf("want it refused, got %v", err)
		}
		if s := p.State(); !s.Accepted {
			t.Error("the host is no longer accepted")
		}
	})
}

// TestBackupPromptVersions asserts who is asked: nobody without a passcode, nobody
// before iOS 16.1, nobody at a restore.
func TestBackupPromptVersions(t *testing.T) {
	for _, tt := range []struct {
		version, passcode string
		want              bool
	}{
		{"9.3.5", "1", false},
		{"15.8.3", "1", false},
		{"16.0.3", "1", false},
		{"16.1", "1", true},
		{"16.7.10", "1", true},
		{"17", "1", true},
		{"26.1", "1", true},
		{"26.1", "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := bubblePhone(t, Config{ProductVersion: tt.version, Passcode: tt.passcode})
			must(t, p.allowBackup(t.Context(), true))
			result := allowed(t.Context(), p)
			synctest.Wait()
			if asked := p.State().Dialog == PasscodeDialog; asked != tt.want {
				t.Errorf("%s: want asked %v, got %v", tt.version, tt.want, asked)
			}
			if tt.want {
				must(t, p.EnterPasscode("1"))
			}
			must(t, <-result)
		})
	}
}

// TestBackupPromptEndsWithHost asserts that a host which goes away while the phone
// asks takes the prompt with it.
func TestBackupPromptEndsWithHost(t *testing.T) {
	p, h, c := paired(t, Config{})
	p.SetPasscode("1234")
	l := lockdownOf(h)
	l.start(c, c.cert)
	a := l.want("StartService", map[string]any{"Service": ServiceBackup}, "")
	raw := h.mustDial(uint16(a["Port"].(uint64)))
	s := tls.Client(raw, clientTLS(c.cert))
	read := func(want string) {
		t.Helper()
		var m []any
		if _, err := service.ReadPlist(s, &m); err != nil || m[0] != want {
			t.Fatalf("want %s, got %v, %v", want, m, err)
		}
	}
	send := func(m ...any) {
		t.Helper()
		must(t, service.WritePlist(s, m, true))
	}
	read("DLMessageVersionExchange")
	send("DLMessageVersionExchange", "DLVersionsOk", 400)
	read("DLMessageDeviceReady")
	send("DLMessageProcessMessage", map[string]any{"MessageName": "Backup", "TargetIdentifier": p.UDID()})
	_, err := p.Wait(t.Context(), dialogIs(PasscodeDialog))
	must(t, err)
	raw.Close()
	_, err = p.Wait(t.Context(), dialogIs(NoDialog))
	must(t, err)
	clean(t, p)
}

func TestControlContent(t *testing.T) {
	p := newPhone(t, Config{})
	path := controlSocket(t, p)
	for _, tt := range []struct {
		files, mib string
		ok         bool
	}{{"10", "1", true}, {"0", "1", false}, {"x", "1", false}, {"1", "-1", false}, {"1", "999999999", false}} {
		_, err := Control(t.Context(), path, ControlRequest{Command: "content", Args: []string{tt.files, tt.mib}})
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
