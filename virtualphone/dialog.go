package virtualphone

import "time"

// Dialog is what the phone shows to its owner.
type Dialog string

// Dialogs.
const (
	NoDialog       Dialog = "none"
	TrustDialog    Dialog = "trust"    // "Trust This Computer?"
	PasscodeDialog Dialog = "passcode" // after Trust, iOS 11 and later; at a backup, 16.1 and later
)

// DialogEnd is how a Trust dialog, with the passcode prompt that may follow it, ended.
type DialogEnd string

// Ends of a dialog.
const (
	DialogTrusted   DialogEnd = "trusted"   // Trust, and the passcode
	DialogDenied    DialogEnd = "denied"    // Don't Trust
	DialogDismissed DialogEnd = "dismissed" // swiped away, or the passcode cancelled
	DialogTimedOut  DialogEnd = "timed-out" // unanswered, see Behavior.DialogTimeout
	DialogLocked    DialogEnd = "locked"    // the screen was locked
	DialogWithdrawn DialogEnd = "withdrawn" // unplugged, rebooted, reset
)

// askOwnerLocked brings up the Trust dialog for a, unless one is up or coming.
func (p *Phone) askOwnerLocked(a asker) {
	if p.dialog != NoDialog || p.coming {
		return
	}
	p.coming, p.asking, p.dialogSince = true, a, time.Now()
	p.armDialogLocked()
}

// armDialogLocked sets the clock of the Trust dialog: when one that is to come is
// shown, and when one that is shown goes away. What is due already happens at once.
func (p *Phone) armDialogLocked() {
	if p.dialogTimer != nil {
		p.dialogTimer.Stop()
		p.dialogTimer = nil
	}
	var wait time.Duration
	switch {
	case p.coming:
		wait = p.behavior.DialogDelay
	case p.dialog == TrustDialog && p.behavior.DialogTimeout > 0:
		wait = p.behavior.DialogTimeout
	default:
		return
	}
	wait -= time.Since(p.dialogSince)
	if wait <= 0 {
		p.dialogDueLocked()
		return
	}
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dialogTimer != t {
			return // taken back meanwhile
		}
		p.dialogTimer = nil
		p.dialogDueLocked()
	})
	p.dialogTimer = t
}

// dialogDueLocked shows the dialog that is to come, or takes the unanswered one away.
func (p *Phone) dialogDueLocked() {
	if !p.coming {
		p.stats.timeouts.Add(1)
		p.hideDialogLocked(DialogTimedOut)
		p.log.Info("trust dialog timed out")
		return
	}
	p.coming = false
	p.dialog, p.dialogSince = TrustDialog, time.Now()
	p.stats.dialogs.Add(1)
	p.changedLocked()
	p.log.Info("trust dialog shown")
	p.armDialogLocked()
}

// hideDialogLocked takes the dialog away, also one that is still to come.
func (p *Phone) hideDialogLocked(end DialogEnd) {
	if p.dialogTimer != nil {
		p.dialogTimer.Stop()
		p.dialogTimer = nil
	}
	p.coming = false
	backup := p.answerPromptLocked(false)
	if p.dialog != NoDialog {
		if !backup {
			p.lastDialog = end
		}
		p.dialog, p.asking = NoDialog, asker{}
		p.changedLocked()
	}
}
