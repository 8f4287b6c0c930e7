package virtualphone

import (
	"crypto/rand"
	"crypto/x509"
	"time"

	"go.uber.org/zap"
)

// Sizes in bytes.
const (
	escrowSize    = 32
	challengeSize = 32
)

// pair decides on a Pair request, in the order a real phone seems to: the shape
// of the record, prohibitions, supervisors, management, the lock, the owner.
// Management excepts supervisors (Apple, Device Management, allowHostPairing).
func (d *dialogue) pair(m *request) (answer, error) {
	p := d.p
	if m.PairRecord == nil {
		return nil, errMissingPairRecord
	}
	h, err := newHost(m.PairRecord, &p.deviceKey().PublicKey)
	if err != nil {
		p.log.Info("pair record refused", zap.Error(err))
		return nil, errInvalidPairRecord
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case d.ctx.Err() != nil: // unplugged, and perhaps erased, meanwhile
		return nil, d.ctx.Err()
	case p.behavior.PairingForbidden:
		return nil, errPairingProhibited
	}
	if a, err, decided := d.superviseLocked(m.PairingOptions, h); decided {
		return a, err
	}
	if p.behavior.MCProtected {
		return nil, errMCProtected
	}
	a := asker{hostID: h.id, buid: h.buid}
	known := p.knownLocked(h.id)
	switch {
	case p.locked:
		return nil, errPasswordProtected
	case known != nil && equalKeys(known.rootKey, h.rootKey):
	case p.cfg.iOS() < 7: // no dialog in those days
	case p.inSetupLocked():
	case p.granted.has(a):
		p.granted = p.granted.without(a)
		if p.behavior.RejectAnswer != "" {
			return nil, p.rejectLocked(a)
		}
		p.accepted = p.accepted.with(a)
	case p.accepted.has(a):
		// Two programs of one host pair, each with keys of its own. People see no
		// second dialog when the C daemon has paired before their idevicepair does.
	case p.behavior.RejectAnswer != "" && p.rejected.has(a) && time.Now().Before(p.rejectedTo):
		return nil, lockdownError(p.behavior.RejectAnswer)
	case p.denied.has(a):
		return nil, errUserDenied
	default:
		p.askOwnerLocked(a)
		return nil, errDialogPending
	}
	p.storeLocked(h)
	if p.cfg.iOS() < 4 { // keybags came with its data protection
		return nil, nil
	}
	return answer{"EscrowBag": random(escrowSize)}, nil
}

// rejectLocked loses the owner's Trust in a for a while.
func (p *Phone) rejectLocked(a asker) error {
	span := p.behavior.RejectTime
	if span <= 0 {
		span = defaultRejectTime
	}
	p.rejected, p.rejectedTo = p.rejected.with(a), time.Now().Add(span)
	p.changedLocked()
	return lockdownError(p.behavior.RejectAnswer)
}

// superviseLocked handles the challenge of a supervised phone. decided is false
// when the pairing goes the way of any other.
func (d *dialogue) superviseLocked(o *pairingOptions, h *host) (_ answer, _ error, decided bool) {
	p := d.p
	if o == nil || len(p.supervisors) == 0 {
		return nil, nil, false
	}
	if len(o.ChallengeResponse) > 0 {
		if d.challenge == nil || !signedBySupervisor(p.supervisors, o.ChallengeResponse, d.challenge) {
			return nil, errMCChallengeFailed, true
		}
		d.challenge = nil
		p.storeLocked(h)
		if p.locked {
			return nil, nil, true // paired, but the bag's keys are locked away
		}
		return answer{"EscrowBag": random(escrowSize)}, nil, true
	}
	if !anyCertificate(p.supervisors, o.SupervisorCertificate) {
		return nil, nil, false
	}
	d.challenge = random(challengeSize)
	return answer{"ExtendedResponse": map[string]any{"PairingChallenge": d.challenge}}, errMCChallenge, true
}

// anyCertificate reports whether b is one of certs.
func anyCertificate(certs []*x509.Certificate, b []byte) bool {
	c, err := parseCertificate(b)
	if err != nil {
		return false
	}
	for _, s := range certs {
		if s.Equal(c) {
			return true
		}
	}
	return false
}

// requestHostID is the HostID of a request, whose place differs by request.
func requestHostID(m *request) string {
	if m.PairRecord != nil && m.PairRecord.HostID != "" {
		return m.PairRecord.HostID
	}
	return m.HostID
}

func (d *dialogue) validatePair(m *request) (answer, error) {
	p := d.p
	id := requestHostID(m)
	if id == "" {
		return nil, errMissingPairRecord
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.sinceBoot:
		return nil, errPasswordProtected
	case p.knownLocked(id) == nil:
		return nil, errInvalidHostID
	}
	return nil, nil
}

func (d *dialogue) unpair(m *request) (answer, error) {
	p := d.p
	id := requestHostID(m)
	if id == "" {
		return nil, errMissingPairRecord
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.knownLocked(id) == nil {
		return nil, errInvalidHostID
	}
	h := p.hosts[id]
	delete(p.hosts, id)
	p.accepted = p.accepted.without(asker{hostID: h.id, buid: h.buid})
	p.changedLocked()
	return nil, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
