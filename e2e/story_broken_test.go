package e2e_test

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// What breaks: records, TLS, phones that say nothing.

// edit rewrites the phone's record.
func (s *scene) edit(change func(record []byte) []byte) {
	s.t.Helper()
	data, err := os.ReadFile(s.recordPath())
	if err == nil {
		err = os.WriteFile(s.recordPath(), change(data), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestSceneRecordBroken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(record []byte) []byte
		copy   string
	}{
		{"garbage", func([]byte) []byte { return bytes.Repeat([]byte{0xff, 0, '<'}, 3000) }, "copy record-unreadable without bag"},
		{"truncated", func(b []byte) []byte { return b[:len(b)/2] }, "copy record-unreadable"},
		{"incomplete", func(b []byte) []byte {
			return regexp.MustCompile(`(?s)<key>(Root|Host)PrivateKey</key>.*?</data>`).ReplaceAll(b, nil)
		}, "copy record-incomplete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := playTrusted(t, "record-"+tt.name, e2e.Config{})
			s.unplug()
			s.edit(tt.change)
			s.plug()
			s.await(trust.DialogShown)
			s.status("asked-again")
			s.disk(tt.copy, "used")
			s.tapTrust()
			s.told("connecting dialog-shown trusted gone connecting record-broken dialog-shown trusted", "Attached Paired Detached Attached Paired")
			s.asked(2, 0)
			s.disk(tt.copy, "record", "used")
		})
	}
}

// TestSceneRecordUnreadable runs the daemon without root's right to read all: the
// record stays where it is, and nobody is asked for what can be mended here.
func TestSceneRecordUnreadable(t *testing.T) {
	var wrap []string
	if os.Getuid() == 0 {
		wrap = []string{"setpriv", "--bounding-set", "-dac_override,-dac_read_search"}
	}
	s := playTrusted(t, "record-unreadable", e2e.Config{Wrap: wrap})
	s.unplug()
	if err := os.Chmod(s.recordPath(), 0); err != nil {
		t.Fatal(err)
	}
	s.plug()
	s.await(trust.RecordBroken)
	s.status("noticed")
	if err := os.Chmod(s.recordPath(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await(trust.Trusted)
	s.works()
	s.told("connecting dialog-shown trusted gone connecting record-broken trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}

func TestSceneTLSRefused(t *testing.T) {
	for _, how := range []string{"abort", "certificate"} {
		t.Run(how, func(t *testing.T) {
			s := playTrusted(t, "tls-"+how, e2e.Config{})
			s.unplug()
			s.phone("tls", how)
			s.plug()
			s.await(trust.RecordBroken)
			s.await(trust.DialogShown)
			s.status("asked-again")
			s.disk("copy tls-refused", "used")
			s.phone("tls", "accept")
			s.tapTrust()
			s.told("connecting dialog-shown trusted gone connecting record-broken dialog-shown trusted", "Attached Paired Detached Attached Paired")
			s.asked(2, 0)
			s.disk("copy tls-refused", "record", "used")
		})
	}
}

// TestSceneFallsSilent has the phone answer nothing any more while its owner is
// waited for.
func TestSceneFallsSilent(t *testing.T) {
	s := play(t, "falls-silent", e2e.Config{})
	s.plug()
	s.await(trust.DialogShown)
	s.phone("silence", "*", "always")
	s.await(trust.NotAnswering)
	s.status("noticed")
	run(t, s.Rig, firstPhone, "idevice_id", "-l") // it is still there
	s.phone("heal")
	s.await(trust.DialogShown)
	s.tapTrust()
	s.told("connecting dialog-shown not-answering dialog-shown trusted", "Attached Paired")
	s.asked(1, 0)
	s.disk("record", "used")
}

// TestSceneSilentFromTheStart has a phone that is trusted answer nothing at its plug.
func TestSceneSilentFromTheStart(t *testing.T) {
	s := playTrusted(t, "silent", e2e.Config{})
	s.unplug()
	s.phone("silence", "*", "always")
	s.plug()
	s.await(trust.NotAnswering)
	s.status("noticed")
	s.phone("heal")
	s.await(trust.Trusted)
	s.works()
	s.told("connecting dialog-shown trusted gone connecting not-answering trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}

func TestSceneAccessoryRestricted(t *testing.T) {
	s := playTrusted(t, "accessory-restricted", e2e.Config{Passcode: "1234"})
	s.unplug()
	s.phone("behavior", "usb-restricted-after", "1ms")
	s.phone("behavior", "usb-restricted", "on")
	s.phone("lock")
	s.phone("wait", "restricted")
	s.plug()
	s.await(trust.AccessoryRestricted)
	s.status("locked-long")
	s.phone("unlock", "1234")
	s.await(trust.Trusted)
	s.works()
	s.told("connecting dialog-shown trusted gone connecting accessory-restricted trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}
