package virtualphone

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
)

// Notifications of a prompt on the phone's screen.
// Source: the names that newer libimobiledevice tools observe (notification_proxy.h).
const (
	notifyPromptShown = "com.apple.LocalAuthentication.ui.presented"
	notifyPromptGone  = "com.apple.LocalAuthentication.ui.dismissed"
)

// promptTime is how long the passcode prompt of a backup stays.
// Source: a report of a phone on iOS 16.1 that was left alone.
const promptTime = 3 * time.Minute

func (p *Phone) newBackup() *service.Backup {
	b := service.BackupConfig{Info: p.gestalt, Allow: p.allowBackup, Reboot: p.rebootOrdered}
	if p.cfg.iOS() >= 14 {
		b.LinkVersion = 400
	}
	return service.NewBackup(b)
}

// SetBackupContent replaces what a backup of the phone holds by files files of size
// bytes together.
func (p *Phone) SetBackupContent(files int, size uint64) error {
	return p.backup.SetContent(files, size)
}

func (p *Phone) rebootOrdered() { p.diagnosticsAction("Restart") }

// promptsForBackup reports whether the owner is asked for the passcode at each
// backup, as since iOS 16.1.
func (c *Config) promptsForBackup() bool {
	major, rest, _ := strings.Cut(c.ProductVersion, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, _ := strconv.Atoi(minor)
	return c.iOS() > 16 || major == "16" && n >= 1
}

// allowBackup asks the owner for the passcode, if this phone does, and waits for the
// answer, promptTime at most. A locked phone allows nothing, nor does one that is
// locked or unplugged meanwhile.
func (p *Phone) allowBackup(ctx context.Context, restore bool) error {
	ctx, cancel := context.WithTimeout(ctx, promptTime)
	defer cancel()
	for {
		p.mu.Lock()
		if p.locked {
			p.mu.Unlock()
			return service.ErrDeviceLocked
		}
		if p.passcode == "" || restore || !p.cfg.promptsForBackup() {
			p.mu.Unlock()
			return nil
		}
		if p.dialog == NoDialog && !p.coming {
			answer := p.promptLocked()
			p.mu.Unlock()
			return p.awaitPasscode(ctx, answer)
		}
		next := p.changes // another dialog comes first
		p.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return service.ErrDeviceLocked
		}
	}
}

// promptLocked shows the passcode prompt for a backup. The channel gets the answer.
func (p *Phone) promptLocked() <-chan bool {
	answer := make(chan bool, 1)
	p.dialog, p.prompted = PasscodeDialog, answer
	p.changedLocked()
	p.log.Info("passcode prompt shown", zap.String("for", "backup"))
	return answer
}

// awaitPasscode waits for the answer to promptLocked's prompt, which is gone when it
// returns.
func (p *Phone) awaitPasscode(ctx context.Context, answer <-chan bool) error {
	p.notifications.Post(notifyPromptShown)
	defer p.notifications.Post(notifyPromptGone)
	var ok bool
	select {
	case ok = <-answer:
	case <-ctx.Done():
		p.mu.Lock()
		if p.prompted == answer {
			p.hideDialogLocked(DialogDismissed)
		}
		p.mu.Unlock()
		ok = <-answer // there is one by now
	}
	if !ok {
		return service.ErrDeviceLocked
	}
	return nil
}

// answerPromptLocked gives the owner's answer to a backup that waits for it, and
// reports whether one does.
func (p *Phone) answerPromptLocked(ok bool) bool {
	if p.prompted == nil {
		return false
	}
	p.prompted <- ok
	p.prompted = nil
	return true
}
