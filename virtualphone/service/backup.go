package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
)

// ErrDeviceLocked is a backup or restore that the phone's owner has not allowed: the
// phone is locked, or its passcode was asked for and not given.
var ErrDeviceLocked = errors.New("device locked")

// BackupConfig is what a phone's backups need of the phone.
type BackupConfig struct {
	// LinkVersion is the version of the device link: 400 from iOS 14 on, before
	// that 300, which is also the default.
	LinkVersion uint64

	// Info returns the phone's lockdown values, for Manifest.plist. It may be nil.
	Info func() map[string]any

	// Allow asks the owner before each backup, restore says whether it is a
	// restore. It blocks until the owner has answered, and returns ErrDeviceLocked
	// for a refusal or when ctx ends. It may be nil.
	Allow func(ctx context.Context, restore bool) error

	// Reboot restarts the phone after a restore whose host asks for that. It is
	// called on the handler's goroutine when the connection has ended, and must
	// not wait for the handler. It may be nil.
	Reboot func()
}

// BackupStats is what a phone's backups have done since NewBackup.
type BackupStats struct {
	Backups       uint64 // completed
	SavedFiles    uint64 // sent in them
	SavedBytes    uint64
	Restores      uint64 // completed
	RestoredFiles uint64 // got in them, every byte as it was
	RestoredBytes uint64
	Refused       uint64 // not allowed by the owner
	Failed        uint64 // ended by any other error that the host was told
}

// Backup is the phone's half of backups: what it has, and the service
// com.apple.mobilebackup2. It is safe for concurrent use.
type Backup struct {
	cfg BackupConfig

	mu    sync.Mutex // guards all below
	files []backupFile
	stats BackupStats
}

// NewBackup returns the backups of a phone with DefaultBackupFiles files of
// DefaultBackupBytes together.
func NewBackup(cfg BackupConfig) *Backup {
	if cfg.LinkVersion == 0 {
		cfg.LinkVersion = 300
	}
	return &Backup{cfg: cfg, files: makeBackupFiles(DefaultBackupFiles, DefaultBackupBytes)}
}

// SetContent replaces what the phone has by files files of size bytes together.
func (b *Backup) SetContent(files int, size uint64) error {
	if files < 1 || files > MaxBackupFiles || size > MaxBackupBytes {
		return fmt.Errorf("%d files of %d bytes: want 1 to %d files and at most %d bytes", files, size, MaxBackupFiles, uint64(MaxBackupBytes))
	}
	made := makeBackupFiles(files, size)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = made
	return nil
}

// Stats returns the counters.
func (b *Backup) Stats() BackupStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// count changes the counters.
func (b *Backup) count(f func(*BackupStats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.stats)
}

// content returns what the phone has; nobody changes it.
func (b *Backup) content() []backupFile {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.files
}

// Serve serves com.apple.mobilebackup2: the requests Hello, Backup, Restore, Info and
// List. Backups are not encrypted. A backup without ForceFullBackup leaves out what
// the last one on the host has; a restore compares every byte with what the phone has
// saved under that name and fails on the first difference.
func (b *Backup) Serve(ctx context.Context, c net.Conn) {
	release := bind(ctx, c)
	defer release()
	s := &backupSession{b: b, ctx: ctx, link: newDeviceLink(c, c)}
	// The host has been told, or is gone.
	_ = s.serve()
	release()
	if s.reboot && b.cfg.Reboot != nil {
		b.cfg.Reboot()
	}
}

// backupError is a failure by the number the host is told.
type backupError struct {
	code int64
	text string
}

// Error implements error.
func (e *backupError) Error() string { return fmt.Sprintf("%s (MBErrorDomain/%d)", e.text, e.code) }

// Codes of backupError, by the texts that phones give with them.
// Source: the messages of phones that users of idevicebackup2 have reported.
const (
	backupInternal   = 1
	backupNotFound   = 4
	backupUpload     = 104 // the host could not store what it was sent
	backupNoSpace    = 105
	backupUnreadable = 205
	backupLocked     = 208
)

func failure(code int64, format string, args ...any) error {
	return &backupError{code: code, text: fmt.Sprintf(format, args...)}
}

// backupSession is one connection. It belongs to one goroutine.
type backupSession struct {
	b      *Backup
	ctx    context.Context
	link   *deviceLink
	reboot bool // asked for by a restore that went well
}

// serve answers requests until the connection ends, which is an error in any case.
func (s *backupSession) serve() error {
	if err := s.link.handshake(s.b.cfg.LinkVersion); err != nil {
		return err
	}
	for {
		m, err := s.link.request()
		if err != nil {
			return err
		}
		content, err := s.carryOut(m)
		reply := map[string]any{"MessageName": "Response", "ErrorCode": 0}
		var failed *backupError
		switch {
		case errors.Is(err, ErrDeviceLocked):
			s.b.count(func(n *BackupStats) { n.Refused++ })
			failed = &backupError{backupLocked, "Device locked"}
		case errors.As(err, &failed):
			s.b.count(func(n *BackupStats) { n.Failed++ })
		case err != nil:
			return err
		}
		if failed != nil {
			reply["ErrorCode"], reply["ErrorDescription"] = failed.code, failed.Error()
		} else {
			maps.Copy(reply, content)
		}
		if err := s.link.send(dlProcessMessage, reply); err != nil {
			return err
		}
	}
}

// carryOut does what m asks for and returns what the answer has beside the error. A
// backupError and ErrDeviceLocked are for the host, any other ends the connection.
func (s *backupSession) carryOut(m map[string]any) (map[string]any, error) {
	target, _ := m["TargetIdentifier"].(string)
	source, _ := m["SourceIdentifier"].(string)
	if source == "" {
		source = target
	}
	options, _ := m["Options"].(map[string]any)
	name, _ := m["MessageName"].(string)
	switch name {
	case "Hello":
		return s.hello(m)
	case "Backup", "Restore", "Info", "List":
		if !folderName(target) || !folderName(source) {
			return nil, failure(backupInternal, "No folder for the backup: target %q, source %q", target, source)
		}
	}
	switch name {
	case "Backup":
		return nil, s.backup(target, options)
	case "Restore":
		return nil, s.restore(source, options)
	case "Info":
		return s.info(source)
	case "List":
		return s.list(source)
	}
	return nil, failure(backupInternal, "Request %q is not supported", name)
}

// protocolVersions are what the phone speaks, best first.
var protocolVersions = []float64{2.1, 2.0}

func (s *backupSession) hello(m map[string]any) (map[string]any, error) {
	offered, _ := m["SupportedProtocolVersions"].([]any)
	for _, v := range protocolVersions {
		for _, o := range offered {
			if o == v {
				return map[string]any{"ProtocolVersion": v}, nil
			}
		}
	}
	return nil, failure(backupInternal, "None of the protocol versions %v is known", offered)
}

// allow asks the owner.
func (s *backupSession) allow(restore bool) error {
	if s.b.cfg.Allow == nil {
		return nil
	}
	return s.b.cfg.Allow(s.ctx, restore)
}

// folderName reports whether id can name the folder of a backup.
func folderName(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}
