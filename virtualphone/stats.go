package virtualphone

import (
	"sync/atomic"

	"gomuxd/virtualphone/service"
)

// Stats is what a phone has done since New.
type Stats struct {
	OutPackets, OutBytes uint64 // host to phone, mux packets with headers
	InPackets, InBytes   uint64 // phone to host
	PayloadSent          uint64 // bytes of services sent in segments
	PayloadRead          uint64 // bytes of the host that services read
	Connects             uint64 // connections accepted
	Refused              uint64 // SYNs answered with RST
	OpenConns            int    // right now
	Dialogs              uint64 // Trust dialogs shown
	DialogTimeouts       uint64 // of them went away unanswered by themselves
	Denials              uint64 // of them answered Don't Trust
	PairRequests         uint64 // Pair requests read, whatever became of them
	Pairings             uint64 // hosts that were accepted
	Sessions             uint64 // lockdown sessions started
	Services             uint64 // lockdown services started
	Resets               uint64 // of the USB device
	Backup               service.BackupStats
}

// counters back Stats; they are touched per packet, hence atomic.
type counters struct {
	outPackets, outBytes, inPackets, inBytes atomic.Uint64
	payloadSent, payloadRead                 atomic.Uint64
	connects, refused                        atomic.Uint64
	dialogs, timeouts, denials, pairRequests atomic.Uint64
	pairings, sessions, services, resets     atomic.Uint64
}

// Stats returns the counters.
func (p *Phone) Stats() Stats {
	c := &p.stats
	s := Stats{
		OutPackets: c.outPackets.Load(), OutBytes: c.outBytes.Load(),
		InPackets: c.inPackets.Load(), InBytes: c.inBytes.Load(),
		PayloadSent: c.payloadSent.Load(), PayloadRead: c.payloadRead.Load(),
		Connects: c.connects.Load(), Refused: c.refused.Load(),
		Dialogs: c.dialogs.Load(), DialogTimeouts: c.timeouts.Load(), Denials: c.denials.Load(),
		PairRequests: c.pairRequests.Load(), Pairings: c.pairings.Load(),
		Sessions: c.sessions.Load(), Services: c.services.Load(),
		Resets: c.resets.Load(),
		Backup: p.backup.Stats(),
	}
	if cable := p.plugged(); cable != nil {
		s.OpenConns = cable.openConns()
	}
	return s
}
