package e2e_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gomuxd/e2e"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// The messages of idevicebackup2 when all went well.
const (
	backupDone  = "Backup Successful."
	restoreDone = "Restore Successful."
)

// TestBackupAndRestore saves a phone with idevicebackup2 and gives it back; the phone
// compares every byte. Then a byte is changed on the disk, which the phone must tell.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel() // the tools sleep most of the time
	files, mib := uint64(200), uint64(16)
	if testing.Short() {
		files, mib = 30, 2
	}
	r := start(t, e2e.Config{})
	pair(t, r)
	content(t, r, files, mib)
	dir := t.TempDir()
	run(t, r, backupDone, "idevicebackup2", "backup", "--full", dir)
	if n, size := saved(t, dir); n != files || size != mib<<20 {
		t.Errorf("want %d files of %d MiB, got %d of %d bytes", files, mib, n, size)
	}
	run(t, r, restoreDone, "idevicebackup2", "restore", "--system", "--no-reboot", dir)
	want := service.BackupStats{
		Backups: 1, SavedFiles: files, SavedBytes: mib << 20,
		Restores: 1, RestoredFiles: files, RestoredBytes: mib << 20,
	}
	if got := backupStats(t, r); got != want {
		t.Fatalf("want %+v, got %+v", want, got)
	}

	// Ten files less: what is saved again is what has another size.
	content(t, r, files-10, mib)
	run(t, r, backupDone, "idevicebackup2", "backup", dir)
	if n, size := saved(t, dir); n != files-10 || size != mib<<20 {
		t.Errorf("want %d files of %d MiB, got %d of %d bytes", files-10, mib, n, size)
	}
	if got := backupStats(t, r); got.SavedFiles >= want.SavedFiles+files-10 {
		t.Errorf("want less than all files saved again, got %d in all", got.SavedFiles)
	}
	run(t, r, "Files: ", "idevicebackup2", "info", dir)
	run(t, r, "CameraRollDomain", "idevicebackup2", "list", dir)

	changeByte(t, dir)
	fails(t, r, "Error restoring", "idevicebackup2", "restore", "--system", "--no-reboot", dir)
	if got := backupStats(t, r); got.Failed != 1 || got.Restores != 1 {
		t.Errorf("want one failure, got %+v", got)
	}
	run(t, r, backupDone, "idevicebackup2", "backup", "--full", dir)
	l := listen(t, r)
	run(t, r, restoreDone, "idevicebackup2", "restore", "--system", "--settings", dir)
	l.await(t, "<string>Detached</string>") // it reboots
	l.await(t, "<string>Attached</string>")
	l.Close()
}

// TestBackupAsksForThePasscode runs the prompt that iOS has shown at each backup since
// 16.1: the tool waits until the owner has entered the passcode, and says so if not.
func TestBackupAsksForThePasscode(t *testing.T) {
	t.Parallel() // the tools sleep most of the time
	r := start(t, e2e.Config{Passcode: "1234"})
	fails(t, r, "accept the trust dialog", "idevicepair", "pair")
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	run(t, r, "SUCCESS: Paired", "idevicepair", "pair")
	content(t, r, 20, 1)
	dir := t.TempDir()

	type result struct {
		out string
		err error
	}
	backup := func() <-chan result {
		done := make(chan result, 1)
		ctx := limit(t)
		go func() {
			out, err := r.Run(ctx, "idevicebackup2", "backup", "--full", dir)
			done <- result{out, err}
		}()
		phone(t, r, "wait", "passcode", "--timeout", "1m")
		return done
	}
	done := backup()
	phone(t, r, "passcode", "cancel")
	if got := <-done; got.err == nil || !strings.Contains(got.out, "ErrorCode 208") || !strings.Contains(got.out, "Backup Failed") {
		t.Errorf("cancelled: want error 208, got %v, %s", got.err, got.out)
	}
	done = backup()
	phone(t, r, "lock")
	if got := <-done; got.err == nil || !strings.Contains(got.out, "Device locked") {
		t.Errorf("locked: want an error, got %v, %s", got.err, got.out)
	}
	phone(t, r, "unlock", "1234")
	if got := backupStats(t, r); got.Backups != 0 || got.SavedFiles != 0 || got.Refused != 2 {
		t.Errorf("want nothing saved yet, got %+v", got)
	}
	done = backup()
	if out, err := r.Phone(limit(t), "passcode", "9"); err == nil {
		t.Errorf("want the wrong passcode refused, got %q", out)
	}
	phone(t, r, "passcode", "1234")
	if got := <-done; got.err != nil || !strings.Contains(got.out, backupDone) {
		t.Errorf("entered: %v, %s", got.err, got.out)
	}
	run(t, r, restoreDone, "idevicebackup2", "restore", "--system", "--no-reboot", dir) // asks nobody
}

// TestBackupOfPhoneThatIsUnplugged pulls the cable while the tool waits for the phone.
func TestBackupOfPhoneThatIsUnplugged(t *testing.T) {
	t.Parallel() // the tools sleep most of the time
	r := start(t, e2e.Config{Passcode: "1"})
	fails(t, r, "accept the trust dialog", "idevicepair", "pair")
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1")
	run(t, r, "SUCCESS: Paired", "idevicepair", "pair")
	dir := t.TempDir()
	done := make(chan error, 1)
	ctx := limit(t)
	go func() {
		_, err := r.Run(ctx, "idevicebackup2", "backup", "--full", dir)
		done <- err
	}()
	phone(t, r, "wait", "passcode", "--timeout", "1m")
	phone(t, r, "unplug")
	if err := <-done; err == nil {
		t.Error("want the backup to fail")
	}
	phone(t, r, "replug")
	if s := status(t, r); s.State.Dialog != virtualphone.NoDialog {
		t.Errorf("want no prompt left, got %s", s.State.Dialog)
	}
}

// TestRestoreMode runs the tools against a phone that waits for a restore: it is
// listed and otherwise left alone, and it comes back as the phone it was.
func TestRestoreMode(t *testing.T) {
	t.Parallel() // the tools sleep most of the time
	r := start(t, e2e.Config{})
	pair(t, r)
	l := listen(t, r)
	phone(t, r, "restore-mode", "on")
	l.await(t, "<string>Detached</string>")
	l.await(t, "<string>Attached</string>")
	if out := run(t, r, "", "idevice_id", "-l"); out != firstPhone {
		t.Errorf("want %s listed, got %q", firstPhone, out)
	}
	fails(t, r, "", "ideviceinfo")
	fails(t, r, "", "idevicebackup2", "backup", t.TempDir())
	fails(t, r, "com.apple.mobile.restored", "idevicepair", "validate")
	for line := range strings.Lines(r.Log()) {
		if strings.Contains(line, " WARN ") || strings.Contains(line, " ERROR ") {
			t.Errorf("the daemon complains: %s", line)
		}
	}
	phone(t, r, "restore-mode", "off")
	l.await(t, "<string>Detached</string>")
	l.await(t, "<string>Attached</string>")
	l.Close()
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
}

// content sets what a backup of the phone holds.
func content(t *testing.T, r *e2e.Rig, files, mib uint64) {
	t.Helper()
	phone(t, r, "content", strconv.FormatUint(files, 10), strconv.FormatUint(mib, 10))
}

// status is what the phone says of itself.
func status(t *testing.T, r *e2e.Rig) (a virtualphone.ControlResponse) {
	t.Helper()
	out, err := r.Phone(limit(t), "--json", "status")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return a
}

func backupStats(t *testing.T, r *e2e.Rig) service.BackupStats {
	t.Helper()
	return status(t, r).Stats.Backup
}

// saved counts the phone's files in the backup below dir.
func saved(t *testing.T, dir string) (files, size uint64) {
	t.Helper()
	eachSaved(t, dir, func(_ string, n int64) {
		files++
		size += uint64(n)
	})
	return files, size
}

// changeByte changes one byte of the largest file in the backup below dir.
func changeByte(t *testing.T, dir string) {
	t.Helper()
	var largest string
	var size int64
	eachSaved(t, dir, func(name string, n int64) {
		if n > size {
			largest, size = name, n
		}
	})
	data, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	data[size/2] ^= 0x40
	if err := os.WriteFile(largest, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// eachSaved calls f for each file that the backup below dir names by a hash.
func eachSaved(t *testing.T, dir string, f func(name string, size int64)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, firstPhone), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || len(e.Name()) != 40 {
			return err
		}
		info, err := e.Info()
		if err == nil {
			f(name, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
