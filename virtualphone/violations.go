package virtualphone

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// Violations counts what the host did against the protocol, by kind. The zero
// value is a clean host, so tests compare with Violations{}.
type Violations struct {
	BadMagic       uint64 // v2 header without feedface
	BadLength      uint64 // message shorter than its headers, or not as long as announced
	Oversized      uint64 // packet over 49152 bytes, or a message of 65536 and more
	MissingZLP     uint64 // full-packet message not ended before the next one
	BadProtocol    uint64 // protocol a host does not send
	MissingVersion uint64 // anything before the first VERSION of a plug
	BadVersion     uint64 // VERSION not 20 bytes, not 2.0, or last word not zero
	MissingSetup   uint64 // first TCP packet before SETUP (v2)
	BadSetup       uint64 // SETUP twice, without byte 7, or on a v1 link
	TxSeqGap       uint64 // tx_seq not one more than the last (SETUP is 0)
	BadHeader      uint64 // data offset not 5, or checksum or urgent not 0
	BadSYN         uint64 // SYN with seq, ack, payload or a window other than 512 and 128, or from port 0
	PortInUse      uint64 // SYN from the source port of a living connection
	BadFlags       uint64 // flags other than exactly SYN, ACK or RST
	BadSeq         uint64 // seq not the next expected
	BeyondWindow   uint64 // data beyond what the phone advertised
	AckBeyondSent  uint64 // ack of what the phone has not sent
	AckBackwards   uint64 // ack smaller than an earlier one
	AfterRST       uint64 // segment after the host's own RST
	UnknownConn    uint64 // segment without RST on a connection that never was
}

// each calls yield for every counter, in the order of String.
func (v *Violations) each(yield func(name string, n *uint64)) {
	yield("bad magic", &v.BadMagic)
	yield("bad length", &v.BadLength)
	yield("oversized", &v.Oversized)
	yield("missing zlp", &v.MissingZLP)
	yield("bad protocol", &v.BadProtocol)
	yield("missing version", &v.MissingVersion)
	yield("bad version", &v.BadVersion)
	yield("missing setup", &v.MissingSetup)
	yield("bad setup", &v.BadSetup)
	yield("tx_seq gap", &v.TxSeqGap)
	yield("bad header", &v.BadHeader)
	yield("bad syn", &v.BadSYN)
	yield("port in use", &v.PortInUse)
	yield("bad flags", &v.BadFlags)
	yield("bad seq", &v.BadSeq)
	yield("beyond window", &v.BeyondWindow)
	yield("ack beyond sent", &v.AckBeyondSent)
	yield("ack backwards", &v.AckBackwards)
	yield("after rst", &v.AfterRST)
	yield("unknown connection", &v.UnknownConn)
}

// Total is the sum of all counters.
func (v Violations) Total() int {
	n := 0
	v.each(func(_ string, c *uint64) { n += int(*c) })
	return n
}

// String lists the counters that are not zero, or says "none".
func (v Violations) String() string {
	var s []string
	v.each(func(name string, c *uint64) {
		if *c != 0 {
			s = append(s, fmt.Sprintf("%s %d", name, *c))
		}
	})
	if s == nil {
		return "none"
	}
	return strings.Join(s, ", ")
}

// maxViolationNotes is how many details a phone keeps.
const maxViolationNotes = 32

// Violations returns the counters since New or the last ClearViolations.
func (p *Phone) Violations() Violations {
	p.policeMu.Lock()
	defer p.policeMu.Unlock()
	return p.violations
}

// ViolationNotes returns the details of the first violations, for messages.
func (p *Phone) ViolationNotes() []string {
	p.policeMu.Lock()
	defer p.policeMu.Unlock()
	return append([]string(nil), p.notes...)
}

// ClearViolations forgets all counters and details.
func (p *Phone) ClearViolations() {
	p.policeMu.Lock()
	defer p.policeMu.Unlock()
	p.violations, p.notes = Violations{}, nil
}

// violate counts one breach. The counter is a field of p.violations.
func (p *Phone) violate(counter *uint64, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	p.policeMu.Lock()
	*counter++
	if len(p.notes) < maxViolationNotes {
		p.notes = append(p.notes, note)
	}
	p.policeMu.Unlock()
	p.log.Debug("host broke the protocol", zap.String("what", note))
}
