//go:build guest

package guest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
	"gomuxd/virtualphone/usbip"
)

// TestBackup proves over real kernel USB that idevicebackup2 saves a phone of
// 300 files once its owner has entered the passcode, as iOS 16 and later ask for
// it at each backup, and that it gives them back; the phone compares every byte.
func TestBackup(t *testing.T) {
	skipC(t, "was not seen to get as far as the passcode prompt, and why is not known")
	start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: "1234"}, usbip.Config{})
	visible(t, p)
	if err := refuses("accept the trust dialog", "idevicepair", "pair")(t, p); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.TapTrust(), p.EnterPasscode("1234"), pairs(t, p)); err != nil {
		t.Fatal(err)
	}
	const files, size = 300, 100 << 20
	if err := p.SetBackupContent(files, size); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	begin := time.Now()
	saved := make(chan error, 1)
	go func() { saved <- says("Backup Successful.", "idevicebackup2", "backup", "--full", dir)(t, p) }()
	ctx, cancel := context.WithTimeout(t.Context(), scaled(30*time.Second))
	defer cancel()
	_, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == virtualphone.PasscodeDialog })
	if err == nil {
		err = p.EnterPasscode("1234")
	}
	if err := errors.Join(err, <-saved); err != nil {
		t.Fatal(err)
	}
	t.Logf("saved in %v", time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	if err := says("Restore Successful.", "idevicebackup2", "restore", "--system", "--no-reboot", dir)(t, p); err != nil {
		t.Fatal(err)
	}
	t.Logf("given back in %v", time.Since(begin).Round(time.Millisecond))
	want := service.BackupStats{
		Backups: 1, SavedFiles: files, SavedBytes: size,
		Restores: 1, RestoredFiles: files, RestoredBytes: size,
	}
	if got := p.Stats().Backup; got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}
}
