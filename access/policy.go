package access

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
)

// Policy is a list of rules in use. It does not change.
type Policy struct {
	rules   []rule
	missing []string
	seats   bool // a rule asks who sits at the computer
}

// NewPolicy looks up who rules name, and ends them with those of a profile, "" for
// the default one.
func NewPolicy(rules []Rule, profile string) (*Policy, error) {
	if profile == "" {
		profile = DefaultProfile
	}
	last, ok := Profiles[profile]
	if !ok {
		return nil, fmt.Errorf("there is no access profile %q; write \"default\" or \"strict\"", profile)
	}
	p := new(Policy)
	for i, r := range slices.Concat(rules, last) {
		text := fmt.Sprintf("access rule %d", i+1)
		if i >= len(rules) {
			text = fmt.Sprintf("the %s profile", profile)
		}
		c, missing, err := r.compile(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		p.rules = append(p.rules, c)
		p.seats = p.seats || slices.Contains(r.Who, "session")
		if i < len(rules) { // a profile may name a group that was not made
			p.missing = append(p.missing, missing...)
		}
	}
	return p, nil
}

// Missing are the users and groups that rules name and this computer does not have.
func (p *Policy) Missing() []string { return p.missing }

// decide finds the rule for a request.
func (p *Policy) decide(g *Guest, v Verb, d Device, port uint16) (may bool, by string) {
	for i := range p.rules {
		if r := &p.rules[i]; r.fits(g, v, d, port) {
			return r.may.has(v), r.text
		}
	}
	return false, "no rule"
}

// Rules holds the policy in use, which can be replaced at any time. The zero value
// has none and must be Set before use.
type Rules struct{ policy atomic.Pointer[Policy] }

// Set replaces the policy.
func (r *Rules) Set(p *Policy) { r.policy.Store(p) }

// Gate is what is behind one listening socket.
type Gate struct {
	Rules  *Rules
	Socket string // its name in rules: path or address
	// Devices are those that it shows, as in a Rule; all if empty.
	Devices []string
}

// Admit says who a client is.
func (g *Gate) Admit(conn net.Conn) *Guest { return g.Guest(PeerOf(conn)) }

// Guest is a client that is this peer.
func (g *Gate) Guest(p Peer) *Guest {
	local := p.Origin == Local
	return &Guest{
		Peer:   p,
		gate:   g,
		person: local && login(p.UID),
		seated: local && g.Rules.policy.Load().seats && atSeat(seats, p.UID),
	}
}

// Guest is a client of a gate. What takes reading files or asking the user database
// is found out once, when it comes: May does neither.
type Guest struct {
	Peer
	gate   *Gate
	person bool // has a person's account
	seated bool // sits at this computer
}

// Refused tells why a client may not do something.
type Refused struct {
	Peer   Peer
	Verb   Verb
	Device Device // zero if it concerns none
	By     string // what decided: "access rule 2"
	Socket string
}

// Error says it for a log.
func (e *Refused) Error() string {
	what := e.Verb.String()
	if e.Device != (Device{}) {
		what += " " + cmp.Or(e.Device.UDID, e.Device.Port)
	}
	return fmt.Sprintf("%s may not %s: %s", e.Peer, what, e.By)
}

// May returns nil if the client may do something, else *Refused. d is the device it
// concerns, zero if none; port is for Connect.
func (g *Guest) May(v Verb, d Device, port uint16) error {
	by := "the socket shows other devices"
	if d == (Device{}) || g.gate.shows(d) {
		var may bool
		if may, by = g.gate.Rules.policy.Load().decide(g, v, d, port); may {
			return nil
		}
	}
	return &Refused{Peer: g.Peer, Verb: v, Device: d, By: by, Socket: g.gate.Socket}
}

// shows reports whether a device is one of the gate's.
func (g *Gate) shows(d Device) bool {
	return len(g.Devices) == 0 || slices.ContainsFunc(g.Devices, func(name string) bool {
		if port, is := strings.CutPrefix(name, "port:"); is {
			return d.Port == port
		}
		return d.UDID != "" && plain(name) == plain(d.UDID)
	})
}
