package access

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/socket/tlstest"
)

const (
	annas = "00008110-000A1B2C3D4E5F60"
	bos   = "0123456789abcdef0123456789abcdef01234567"
)

var (
	root   = Peer{Origin: Local, PID: 1, UID: 0, GID: 0}
	anna   = Peer{Origin: Local, PID: 2, UID: 1000, GID: 1000, Groups: []uint32{46, 4321}}
	www    = Peer{Origin: Local, PID: 3, UID: 33, GID: 33}
	nobody = Peer{Origin: Local, PID: 4, UID: 65534, GID: 65534}
	remote = Peer{UID: NoID, GID: NoID}
	runner = Peer{UID: NoID, GID: NoID, Certificate: "ci-runner"}
)

// rulesOf is rules with the default profile behind them.
func rulesOf(t *testing.T, rules ...Rule) *Rules {
	t.Helper()
	p, err := NewPolicy(rules, "")
	if err != nil {
		t.Fatal(err)
	}
	r := new(Rules)
	r.Set(p)
	return r
}

// TestIdentities asks for each word of Who with each peer.
func TestIdentities(t *testing.T) {
	gate := &Gate{Rules: rulesOf(t)}
	peers := map[string]Peer{"root": root, "anna": anna, "www": www, "nobody": nobody, "remote": remote, "runner": runner,
		"dynamic": {Origin: Local, UID: 61200, GID: 61200}, "container": {Origin: Local, UID: 1<<31 - 9, GID: 7}}
	for word, want := range map[string]string{
		"root": "root", "local": "anna container dynamic nobody root www", "network": "remote runner",
		"cert:ci-runner": "runner", "cert:*": "runner", "cert:ci-runner2": "", "cert:CI-runner": "",
		"everyone": "anna container dynamic nobody remote root runner www", "logins": "anna",
		"uid:33": "www", "uid:1000-65534": "anna dynamic nobody", "gid:4321": "anna", "gid:33": "www", "gid:0": "root",
		"user:root": "root", "group:root": "root", "user:no-such-user": "", "group:no-such-group": "",
	} {
		is, known, err := identity(word)
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		if known == strings.Contains(word, "no-such") {
			t.Errorf("%s is known: %v", word, known)
		}
		for name, p := range peers {
			got := known && is(gate.Guest(p))
			if got != strings.Contains(" "+want+" ", " "+name+" ") {
				t.Errorf("%s is %s: %v", name, word, got)
			}
		}
	}
	for _, word := range []string{"", "rot", "uid:", "uid:x", "uid:9-3", "uid:-1", "gid:", "gid:4294967296", "user:", "group:", "Root", "cert:", "cert"} {
		if _, _, err := identity(word); err == nil {
			t.Errorf("%q is somebody", word)
		}
	}
}

// TestProfiles holds the two profiles against everyone and everything.
func TestProfiles(t *testing.T) {
	const all = "list connect read-records save-records delete-records operate mend"
	const pairs = "list connect read-records save-records delete-records"
	for profile, want := range map[string]map[*Peer]string{
		"default": {&root: all, &anna: pairs, &www: "list connect", &nobody: "list connect", &remote: "list connect", &runner: "list connect"},
		"strict":  {&root: all, &anna: "", &www: "", &nobody: "", &remote: "", &runner: ""},
	} {
		p, err := NewPolicy(nil, profile)
		if err != nil {
			t.Fatal(err)
		}
		for peer, may := range want {
			guest := (&Gate{Rules: rulesOf(t)}).Guest(*peer)
			var got []string
			for v := range verbs {
				if ok, _ := p.decide(guest, v, Device{UDID: annas}, 62078); ok {
					got = append(got, v.String())
				}
			}
			if strings.Join(got, " ") != may {
				t.Errorf("%s: %v may %v, want %s", profile, peer, got, may)
			}
		}
	}
	if _, err := NewPolicy(nil, "lax"); err == nil || !strings.Contains(err.Error(), "strict") {
		t.Errorf("profile lax: %v", err)
	}
}

// TestRules asks one question of one list of rules each.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules []Rule
		peer  Peer
		verb  Verb
		dev   Device
		port  uint16
		by    string // "" if allowed
	}{
		{"the first rule decides", []Rule{{Who: []string{"uid:33"}, May: []string{"records"}}, {MayNot: []string{"everything"}}}, www, ReadRecord, Device{UDID: annas}, 0, ""},
		{"the next does for others", []Rule{{Who: []string{"uid:33"}, May: []string{"records"}}, {MayNot: []string{"everything"}}}, root, ReadRecord, Device{UDID: annas}, 0, "access rule 2"},
		{"a rule that does not speak of the verb is none", []Rule{{MayNot: []string{"connect"}}}, root, ReadRecord, Device{UDID: annas}, 0, ""},
		{"a rule for one phone", []Rule{{Devices: []string{strings.ToLower(strings.ReplaceAll(annas, "-", ""))}, MayNot: []string{"connect"}}}, anna, Connect, Device{UDID: annas}, 1, "access rule 1"},
		{"another phone", []Rule{{Devices: []string{annas}, MayNot: []string{"connect"}}}, anna, Connect, Device{UDID: bos}, 1, ""},
		{"by port on the bus", []Rule{{Devices: []string{"port:1-2.3"}, MayNot: []string{"list"}}}, anna, List, Device{UDID: bos, Port: "1-2.3"}, 0, "access rule 1"},
		{"not plugged in", []Rule{{Devices: []string{"port:1-2.3", "port:"}, MayNot: []string{"list"}}}, anna, List, Device{UDID: bos}, 0, ""},
		{"no phone concerned", []Rule{{Devices: []string{annas}, MayNot: []string{"records"}}}, anna, ReadRecord, Device{}, 0, "access rule 1"},
		{"a port", []Rule{{Ports: []string{"22", "1000-2000"}, MayNot: []string{"connect"}}}, anna, Connect, Device{UDID: bos}, 2000, "access rule 1"},
		{"another port", []Rule{{Ports: []string{"22", "1000-2000"}, MayNot: []string{"connect"}}}, anna, Connect, Device{UDID: bos}, 2001, ""},
		{"a socket", []Rule{{Sockets: []string{"/run/one"}, MayNot: []string{"list"}}}, root, List, Device{UDID: bos}, 0, "access rule 1"},
		{"another socket", []Rule{{Sockets: []string{"/run/two"}, MayNot: []string{"list"}}}, root, List, Device{UDID: bos}, 0, ""},
		{"a user that is not there", []Rule{{Who: []string{"user:no-such-user"}, MayNot: []string{"list"}}}, root, List, Device{UDID: bos}, 0, ""},
		{"no rule at all", []Rule{{Who: []string{"root"}, May: []string{"list"}}}, www, SaveRecord, Device{UDID: bos}, 0, "no rule"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := (&Gate{Rules: rulesOf(t, tt.rules...), Socket: "/run/one"}).Guest(tt.peer).May(tt.verb, tt.dev, tt.port)
			if (err == nil) != (tt.by == "") || err != nil && !strings.Contains(err.Error(), tt.by) {
				t.Errorf("May = %v, want %q", err, tt.by)
			}
		})
	}
}

func TestBadRules(t *testing.T) {
	for says, r := range map[string]Rule{
		"nobody":               {Who: []string{"annna"}, May: []string{"list"}},
		"nothing a client":     {May: []string{"lst"}},
		"neither":              {Who: []string{"root"}},
		"allows and forbids":   {May: []string{"records"}, MayNot: []string{"read-records"}},
		"no port of a device":  {Ports: []string{"70000"}, May: []string{"connect"}},
		`"2-1" is no port`:     {Ports: []string{"2-1"}, May: []string{"connect"}},
		"access rule 1: \"uid": {Who: []string{"uid:y"}, May: []string{"connect"}},
	} {
		if _, err := NewPolicy([]Rule{r}, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", r, err, says)
		}
	}
	p, err := NewPolicy([]Rule{{Who: []string{"user:no-such-user", "root"}, May: []string{"list"}}}, "")
	if err != nil || len(p.Missing()) != 1 {
		t.Errorf("missing %v, %v", p.Missing(), err)
	}
}

// TestGate asserts that a socket for one phone has no other, and that new rules
// hold at once.
func TestGate(t *testing.T) {
	rules := rulesOf(t)
	g := (&Gate{Rules: rules, Socket: "/run/one", Devices: []string{annas, "port:3-1"}}).Guest(root)
	for _, tt := range []struct {
		dev Device
		may bool
	}{{Device{}, true}, {Device{UDID: annas}, true}, {Device{UDID: bos}, false}, {Device{UDID: bos, Port: "3-1"}, true}, {Device{UDID: bos, Port: "3-2"}, false}} {
		if err := g.May(List, tt.dev, 0); (err == nil) != tt.may {
			t.Errorf("May list %+v = %v", tt.dev, err)
		}
	}
	p, err := NewPolicy([]Rule{{MayNot: []string{"everything"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	rules.Set(p)
	if err := g.May(List, Device{UDID: annas}, 0); err == nil {
		t.Error("the new rule does not hold")
	}
}

func TestMayAllocatesNothing(t *testing.T) {
	rules := rulesOf(t)
	g := (&Gate{Rules: rules}).Guest(anna)
	if n := testing.AllocsPerRun(100, func() {
		if g.May(Connect, Device{UDID: annas, Port: "1-2"}, 62078) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSeat(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "seat0"), []byte("# private\nIS_SEAT0=1\nACTIVE=c2\nACTIVE_UID=1000\nSESSIONS=c2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !atSeat(dir, 1000) || atSeat(dir, 100) || atSeat(dir, 10000) || atSeat(filepath.Join(dir, "none"), 1000) {
		t.Error("who sits at the computer is mistaken")
	}
}

// TestPeerOf asks the kernel about this process, over each kind of socket.
func TestPeerOf(t *testing.T) {
	for _, network := range []string{"unix", "tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			address := map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
			l, err := net.Listen(network, address)
			if err != nil {
				t.Skipf("not on this computer: %v", err)
			}
			defer l.Close()
			c, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p := PeerOf(s)
			if p.Origin != Local || p.UID != uint32(os.Getuid()) {
				t.Errorf("peer %+v", p)
			}
			if network == "unix" {
				if p.PID != int32(os.Getpid()) || !p.In(uint32(os.Getgid())) || p.Program() == "" {
					t.Errorf("peer %+v, program %q", p, p.Program())
				}
			} else if p.GID != NoID || p.In(0) || p.In(NoID) {
				t.Errorf("a group without evidence: %+v", p)
			}
		})
	}
	a, _ := net.Pipe()
	if p := PeerOf(a); p.Origin != Network || p.UID != NoID || p.In(0) {
		t.Errorf("peer of no socket: %+v", p)
	}
}

// TestTLSPeer asserts that a TLS client is its certificate and no more, from this
// computer, too, and nobody before it has proved to have its key.
func TestTLSPeer(t *testing.T) {
	ca := tlstest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shown := make(chan error, 1)
	go func() {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost",
			Certificates: []tls.Certificate{ca.Issue("ci-runner", x509.ExtKeyUsageClientAuth)}})
		if err == nil {
			err = c.Close()
		}
		shown <- err
	}()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	s := tls.Server(raw, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
		Certificates: []tls.Certificate{ca.Issue("server", x509.ExtKeyUsageServerAuth)}})
	before := PeerOf(s)
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	after := PeerOf(s)
	if before.Certificate != "" || after.Certificate != "ci-runner" {
		t.Errorf("certificate %q, then %q", before.Certificate, after.Certificate)
	}
	for _, p := range []Peer{before, after} {
		if p.Origin != Network || p.UID != NoID || p.PID != 0 || !p.Addr.Addr().IsLoopback() {
			t.Errorf("peer %+v", p)
		}
	}
	if err := <-shown; err != nil {
		t.Error(err)
	}
}

// FuzzHexAddr asserts that no line of the kernel's table is taken for more than it
// says.
func FuzzHexAddr(f *testing.F) {
	for _, s := range []string{"0100007F:1F90", "00000000000000000000000001000000:0050", "0000000000000000FFFF00000100007F:0050", "", ":", "zz:1", "0100007F:10000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := hexAddr(s); ok && (!a.IsValid() || a.Addr().Is4In6()) {
			t.Errorf("%q is %v", s, a)
		}
	})
}
