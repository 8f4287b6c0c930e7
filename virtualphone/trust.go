package virtualphone

import (
	"fmt"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
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
// show the passcode prompt; see Behavior.TapNotifies. It fails with ErrNoDialog.
func (p *Phone) TapTrust() error {
	p.mu.Lock()
	if err := p.expectLocked(TrustDialog); err != nil {
		p.mu.Unlock()
		return err
	}
	if p.passcode != "" && p.cfg.iOS() >= 11 {
		p.dialog = PasscodeDialog
		p.armDialogLocked()
		p.changedLocked()
		tell := p.behavior.TapNotifies
		p.mu.Unlock()
		if tell {
			p.notifications.Post(service.RequestPair)
		}
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
		p.dialog = NoDialog
		p.changedLocked()
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
	p.rejected = p.rejected.without(a)
	p.hideDialogLocked(DialogTrusted)
	p.log.Info("owner trusts the host", zap.String("host_id", a.hostID))
}

// TapDontTrust refuses the asking host until the phone is plugged in anew; see
// Behavior.DenialNotifies. It fails with ErrNoDialog.
func (p *Phone) TapDontTrust() error {
	p.mu.Lock()
	if err := p.expectLocked(TrustDialog); err != nil {
		p.mu.Unlock()
		return err
	}
	p.denied = p.denied.with(p.asking)
	p.stats.denials.Add(1)
	p.hideDialogLocked(DialogDenied)
	tell := p.behavior.DenialNotifies
	p.mu.Unlock()
	if tell {
		p.notifications.Post(service.RequestPair)
	}
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
	p.hideDialogLocked(DialogDismissed)
	return nil
}
