package access

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Verb is something that a client can ask for.
type Verb uint8

const (
	List         Verb = iota // know of a device: lists and events
	Connect                  // reach a port of a device
	ReadRecord               // read a pair record, or this computer's identity
	SaveRecord               // write a pair record
	DeleteRecord             // take a pair record out of use
	Operate                  // what muxctl does beside showing: trust, untrust, restore
	Mend                     // reset a device over USB, open it anew, switch its USB mode
	verbs
)

var verbNames = [verbs]string{"list", "connect", "read-records", "save-records", "delete-records", "operate", "mend"}

// String is the verb's name in rules.
func (v Verb) String() string { return verbNames[v] }

// everything and records stand for several verbs.
var verbSets = map[string]verbSet{
	"everything": 1<<verbs - 1,
	"records":    1<<ReadRecord | 1<<SaveRecord | 1<<DeleteRecord,
}

type verbSet uint8

func (s verbSet) has(v Verb) bool { return s&(1<<v) != 0 }

// Device is a phone as rules name it; zero for what concerns none.
type Device struct {
	UDID string // "" below the mux
	Port string // on the bus: "1-2.3"; "" if it is not plugged in
}

// Rule is one rule as it is written down. It fits if each list that is not empty
// has something that fits; the first rule that fits and speaks of the verb decides.
type Rule struct {
	// Who: "root", "daemon", "logins" (people's accounts), "session" (who sits at
	// this computer), "local" (any process here), "network", "everyone", or
	// "user:NAME", "uid:N", "uid:N-M", "group:NAME", "gid:N", or "cert:NAME", who has a
	// certificate with this name, "cert:*" with any.
	Who []string `toml:"who"`
	// Sockets: paths or addresses of the sockets a client came in on.
	Sockets []string `toml:"sockets"`
	// Devices: UDIDs, or "port:1-2.3". What concerns no device fits too.
	Devices []string `toml:"devices"`
	// Ports of a device, for connect: "62078", "1024-65535".
	Ports []string `toml:"ports"`
	// May and MayNot: names of verbs, or "records", "everything".
	May    []string `toml:"may"`
	MayNot []string `toml:"may_not"`
}

// Profiles are rules to end with, by name.
var Profiles = map[string][]Rule{
	// As usbmuxd has always been for people and desktop programs; but accounts of
	// services get no keys.
	"default": {
		{Who: []string{"root", "daemon", "group:" + Group}, May: []string{"everything"}},
		{Who: []string{"logins"}, May: []string{"list", "connect", "records"}},
		{Who: []string{"everyone"}, May: []string{"list", "connect"}},
	},
	// For computers that several people use.
	"strict": {
		{Who: []string{"root", "daemon"}, May: []string{"everything"}},
		{Who: []string{"session"}, May: []string{"list", "connect", "records"}},
		{Who: []string{"group:" + Group}, May: []string{"list", "connect", "operate", "mend"}},
	},
}

// Group is the group of a profile's operators.
const Group = "usbmux"

// DefaultProfile is the name of the profile that holds if none is chosen.
const DefaultProfile = "default"

// rule is a Rule with its names looked up.
type rule struct {
	text         string              // for logs: "rule 3"
	who          []func(*Guest) bool // nil for anyone
	sockets      []string
	udids, ports []string // of devices; on the bus
	reach        [][2]uint16
	may, mayNot  verbSet
}

// compile looks names up. It returns what could not be found, which fits nobody.
func (r Rule) compile(text string) (c rule, missing []string, err error) {
	c = rule{text: text, sockets: r.Sockets}
	if len(r.Who) > 0 {
		c.who = make([]func(*Guest) bool, 0, len(r.Who))
	}
	for _, w := range r.Who {
		f, known, err := identity(w)
		if err != nil {
			return c, nil, err
		}
		if !known {
			missing = append(missing, w)
			continue
		}
		c.who = append(c.who, f)
	}
	for _, d := range r.Devices {
		if port, is := strings.CutPrefix(d, "port:"); is {
			c.ports = append(c.ports, port)
		} else {
			c.udids = append(c.udids, plain(d))
		}
	}
	for _, p := range r.Ports {
		low, high, is := strings.Cut(p, "-")
		if !is {
			high = low
		}
		a, err1 := strconv.ParseUint(low, 10, 16)
		b, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || a > b {
			return c, nil, fmt.Errorf("%q is no port of a device; write \"62078\" or \"1024-65535\"", p)
		}
		c.reach = append(c.reach, [2]uint16{uint16(a), uint16(b)})
	}
	if c.may, err = verbsOf(r.May); err != nil {
		return c, nil, err
	}
	if c.mayNot, err = verbsOf(r.MayNot); err != nil {
		return c, nil, err
	}
	switch {
	case c.may|c.mayNot == 0:
		return c, nil, fmt.Errorf("it says neither \"may\" nor \"may_not\"")
	case c.may&c.mayNot != 0:
		return c, nil, fmt.Errorf("it allows and forbids the same")
	}
	return c, missing, nil
}

func verbsOf(names []string) (set verbSet, err error) {
	for _, n := range names {
		if s, ok := verbSets[n]; ok {
			set |= s
			continue
		}
		at := slices.Index(verbNames[:], n)
		if at < 0 {
			return 0, fmt.Errorf("%q is nothing a client can ask for; write one of %s, records, everything", n, strings.Join(verbNames[:], ", "))
		}
		set |= 1 << at
	}
	return set, nil
}

// fits reports whether the rule is about this request.
func (r *rule) fits(g *Guest, v Verb, d Device, port uint16) bool {
	if !(r.may | r.mayNot).has(v) {
		return false
	}
	if r.who != nil && !slices.ContainsFunc(r.who, func(f func(*Guest) bool) bool { return f(g) }) {
		return false
	}
	if len(r.sockets) > 0 && !slices.Contains(r.sockets, g.gate.Socket) {
		return false
	}
	if d != (Device{}) && len(r.udids)+len(r.ports) > 0 && !d.among(r.udids, r.ports) {
		return false
	}
	return v != Connect || len(r.reach) == 0 ||
		slices.ContainsFunc(r.reach, func(b [2]uint16) bool { return b[0] <= port && port <= b[1] })
}

// among reports whether a device is one of those named.
func (d Device) among(udids, ports []string) bool {
	return d.UDID != "" && slices.Contains(udids, plain(d.UDID)) || d.Port != "" && slices.Contains(ports, d.Port)
}

// plain is a UDID without its hyphen, in small letters: clients write either.
func plain(udid string) string { return strings.ToLower(strings.ReplaceAll(udid, "-", "")) }

// identity turns a word of Who into a test. It reports false if it names a user or
// group that this computer does not have.
func identity(word string) (is func(*Guest) bool, known bool, err error) {
	kind, name, _ := strings.Cut(word, ":")
	switch {
	case word == "root":
		return uids(0, 0), true, nil
	case word == "daemon":
		self := uint32(os.Geteuid())
		return uids(self, self), true, nil
	case word == "local":
		return func(g *Guest) bool { return g.Origin == Local }, true, nil
	case word == "network":
		return func(g *Guest) bool { return g.Origin == Network }, true, nil
	case word == "everyone":
		return func(*Guest) bool { return true }, true, nil
	case word == "logins":
		return func(g *Guest) bool { return g.person }, true, nil
	case word == "session":
		return func(g *Guest) bool { return g.seated }, true, nil
	case word == "cert:*":
		return func(g *Guest) bool { return g.Certificate != "" }, true, nil
	case kind == "cert" && name != "":
		return func(g *Guest) bool { return g.Certificate == name }, true, nil
	case kind == "uid":
		low, high, isRange := strings.Cut(name, "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.ParseUint(low, 10, 32)
		b, err2 := strconv.ParseUint(high, 10, 32)
		if err1 != nil || err2 != nil || a > b {
			return nil, false, fmt.Errorf("%q is no uid; write \"uid:1000\" or \"uid:1000-1999\"", word)
		}
		return uids(uint32(a), uint32(b)), true, nil
	case kind == "gid":
		g, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, false, fmt.Errorf("%q is no gid; write \"gid:1000\"", word)
		}
		return group(uint32(g)), true, nil
	case kind == "user" && name != "":
		u, err := user.Lookup(name)
		if err != nil {
			return nil, false, nil
		}
		id, err := strconv.ParseUint(u.Uid, 10, 32)
		return uids(uint32(id), uint32(id)), err == nil, nil
	case kind == "group" && name != "":
		g, err := user.LookupGroup(name)
		if err != nil {
			return nil, false, nil
		}
		id, err := strconv.ParseUint(g.Gid, 10, 32)
		return group(uint32(id)), err == nil, nil
	}
	return nil, false, fmt.Errorf("%q is nobody; write root, daemon, logins, session, local, network, everyone, user:NAME, uid:N, group:NAME, gid:N or cert:NAME", word)
}

func uids(low, high uint32) func(*Guest) bool {
	return func(g *Guest) bool { return g.Origin == Local && low <= g.UID && g.UID <= high }
}

func group(gid uint32) func(*Guest) bool { return func(g *Guest) bool { return g.In(gid) } }

// login reports whether a uid is a person's. Below are the accounts of services,
// above those that systemd makes for a service's lifetime, nobody, and what only the
// user database can tell from a container's. Source: login.defs(5) and
// https://systemd.io/UIDS-GIDS.
func login(uid uint32) bool {
	const first, dynamic, ids16 = 1000, 61184, 65536
	switch {
	case uid < first, uid == NoID:
		return false
	case uid < dynamic:
		return true
	case uid < ids16:
		return false
	}
	if _, ok := people.Load(uid); ok {
		return true
	}
	_, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err == nil {
		people.Store(uid, nil)
	}
	return err == nil
}

// people are uids that the user database was found to have: asking it may take as
// long as the network.
var people sync.Map

// seats is where logind keeps its seats; sd_seat_get_active(3) reads the same.
const seats = "/run/systemd/seats"

// atSeat reports whether a user has the active session of a seat.
func atSeat(dir string, uid uint32) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	want := "ACTIVE_UID=" + strconv.FormatUint(uint64(uid), 10)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil && slices.Contains(strings.Split(string(b), "\n"), want) {
			return true
		}
	}
	return false
}
