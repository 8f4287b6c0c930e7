package virtualphone

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
)

// Dialog is what the phone shows to its owner.
type Dialog string

// Dialogs.
const (
	NoDialog       Dialog = "none"
	TrustDialog    Dialog = "trust"    // "Trust This Computer?"
	PasscodeDialog Dialog = "passcode" // after Trust, iOS 11 and later; at a backup, 16.1 and later
)

// notifyDeviceName tells hosts in a session that the phone has a new name.
const notifyDeviceName = "com.apple.mobile.lockdown.device_name_changed"

// asker is the host a dialog or an answer is about. Hosts make a new HostID for
// every attempt, so the SystemBUID counts as much.
type asker struct{ hostID, buid string }

func (a asker) is(b asker) bool {
	return a.hostID == b.hostID || a.buid != "" && a.buid == b.buid
}

// answers are the hosts the owner has decided about. Newest last, bounded.
type answers []asker

const maxAnswers = 64

func (s answers) has(a asker) bool {
	for _, x := range s {
		if x.is(a) {
			return true
		}
	}
	return false
}

func (s answers) without(a asker) answers {
	var out answers
	for _, x := range s {
		if !x.is(a) {
			out = append(out, x)
		}
	}
	return out
}

func (s answers) with(a asker) answers {
	s = append(s.without(a), a)
	return s[max(0, len(s)-maxAnswers):]
}

// askOwnerLocked brings up the Trust dialog for a, unless one is up or coming.
func (p *Phone) askOwnerLocked(a asker) {
	if p.dialog != NoDialog || p.dialogTimer != nil {
		return
	}
	if p.behavior.DialogDelay <= 0 {
		p.showLocked(a)
		return
	}
	var t *time.Timer
	t = time.AfterFunc(p.behavior.DialogDelay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dialogTimer != t {
			return // taken back meanwhile
		}
		p.dialogTimer = nil
		p.showLocked(a)
	})
	p.dialogTimer = t
}

func (p *Phone) showLocked(a asker) {
	p.dialog, p.asking = TrustDialog, a
	p.stats.dialogs.Add(1)
	p.changedLocked()
	p.log.Info("trust dialog shown")
}

// hideDialogLocked takes the dialog away, also one that is still to come.
func (p *Phone) hideDialogLocked() {
	if p.dialogTimer != nil {
		p.dialogTimer.Stop()
		p.dialogTimer = nil
	}
	p.answerPromptLocked(false)
	if p.dialog != NoDialog {
		p.dialog, p.asking = NoDialog, asker{}
		p.changedLocked()
	}
}

// expectLocked checks that dialog d is shown.
func (p *Phone) expectLocked(d Dialog) error {
	switch {
	case p.dialog == d:
		return nil
	case p.dialog == NoDialog:
		return ErrNoDialog
	}
	return fmt.Errorf("the %s dialog is shown, not the %s dialog: %w", p.dialog, d, ErrNoDialog)
}

// TapTrust answers the Trust dialog. With a passcode set, iOS 11 and later then
// show the passcode prompt. It fails with ErrNoDialog.
func (p *Phone) TapTrust() error {
	p.mu.Lock()
	if err := p.expectLocked(TrustDialog); err != nil {
		p.mu.Unlock()
		return err
	}
	if p.passcode != "" && p.cfg.iOS() >= 11 {
		p.dialog = PasscodeDialog
		p.changedLocked()
		p.mu.Unlock()
		return nil
	}
	p.grantLocked()
	p.mu.Unlock()
	p.notifications.Post(service.RequestPair)
	return nil
}

// EnterPasscode answers the passcode prompt after Trust or of a backup. It fails with
// ErrNoDialog, or with ErrPasscode, and then the prompt stays.
func (p *Phone) EnterPasscode(code string) error {
	p.mu.Lock()
	err := p.expectLocked(PasscodeDialog)
	if err == nil && code != p.passcode {
		err = ErrPasscode
	}
	if err != nil {
		p.mu.Unlock()
		return err
	}
	if p.answerPromptLocked(true) {
		p.hideDialogLocked()
		p.mu.Unlock()
		return nil
	}
	p.grantLocked()
	p.mu.Unlock()
	p.notifications.Post(service.RequestPair)
	return nil
}

// grantLocked lets the next Pair of the asking host succeed.
func (p *Phone) grantLocked() {
	a := p.asking
	p.granted = p.granted.with(a)
	p.denied = p.denied.without(a)
	p.hideDialogLocked()
	p.log.Info("owner trusts the host", zap.String("host_id", a.hostID))
}

// TapDontTrust refuses the asking host until the phone is plugged in anew. It
// fails with ErrNoDialog.
func (p *Phone) TapDontTrust() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.expectLocked(TrustDialog); err != nil {
		return err
	}
	p.denied = p.denied.with(p.asking)
	p.hideDialogLocked()
	return nil
}

// CancelPasscode leaves the passcode prompt without an answer; the next Pair
// shows the Trust dialog again, a backup ends. It fails with ErrNoDialog.
func (p *Phone) CancelPasscode() error { return p.dismiss(PasscodeDialog) }

// DismissDialog makes the Trust dialog go away without an answer; the next Pair
// shows it again. It fails with ErrNoDialog.
func (p *Phone) DismissDialog() error { return p.dismiss(TrustDialog) }

func (p *Phone) dismiss(d Dialog) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.expectLocked(d); err != nil {
		return err
	}
	p.hideDialogLocked()
	return nil
}
