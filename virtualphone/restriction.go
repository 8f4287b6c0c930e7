package virtualphone

import "time"

// armRestrictionLocked sets the clock of the USB restriction by lock state and
// behavior.
func (p *Phone) armRestrictionLocked() {
	if p.restrictTimer != nil {
		p.restrictTimer.Stop()
		p.restrictTimer = nil
	}
	if !p.locked {
		p.lockedAt = time.Time{}
	} else if p.lockedAt.IsZero() {
		p.lockedAt = time.Now()
	}
	if !p.locked || !p.behavior.USBRestricted {
		p.restricted.Store(false)
		return
	}
	after := p.behavior.USBRestrictedAfter
	if after <= 0 {
		after = defaultUSBRestrictedAfter
	}
	wait := after - time.Since(p.lockedAt)
	p.restricted.Store(wait <= 0)
	var t *time.Timer
	t = time.AfterFunc(max(wait, 0), func() {
		p.mu.Lock()
		if p.restrictTimer != t {
			p.mu.Unlock()
			return // unlocked meanwhile
		}
		p.restrictTimer = nil
		p.restricted.Store(true)
		p.changedLocked()
		p.mu.Unlock()
		p.ResetConns("")
		p.log.Info("usb restricted")
	})
	p.restrictTimer = t
}
