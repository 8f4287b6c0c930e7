package control

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/access"
)

// gateOf lets these act on everything, before the default profile.
func gateOf(t testing.TB, who ...string) *access.Gate {
	t.Helper()
	return gateBy(t, access.Rule{Who: who, May: []string{"everything"}})
}

func gateBy(t testing.TB, rules ...access.Rule) *access.Gate {
	t.Helper()
	p, err := access.NewPolicy(rules, "")
	if err != nil {
		t.Fatal(err)
	}
	r := new(access.Rules)
	r.Set(p)
	return &access.Gate{Rules: r}
}

const noUser = 1<<31 - 7 // has no entry in the user database

// TestIdentities asks for every route by each kind of person.
func TestIdentities(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer access.Peer
		may  bool
		says string
	}{
		{name: "root", peer: access.Peer{Origin: access.Local}, may: true},
		{name: "the daemon's user", peer: access.Peer{Origin: access.Local, UID: uint32(os.Geteuid()), GID: noUser}, may: true},
		{name: "a group of the rules", peer: access.Peer{Origin: access.Local, UID: noUser, GID: 4320, Groups: []uint32{1, 4321}}, may: true},
		{name: "another group", peer: access.Peer{Origin: access.Local, UID: noUser, GID: 4320}, says: "you are uid 2147483641"},
		{name: "unknown", peer: access.Peer{UID: access.NoID, GID: access.NoID}, says: "sudo muxctl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				c.Gate = gateOf(t, "gid:4321")
				c.Peer = func(net.Conn) access.Peer { return tt.peer }
			})
			for _, route := range routes {
				if route.status == 0 {
					continue
				}
				path := strings.NewReplacer("{device}", "1-2", "{udid}", annasUDID).Replace(route.path)
				body := ""
				if strings.HasSuffix(path, "/restore") {
					body = `{"copy":"c1"}`
				}
				if strings.HasSuffix(path, "/mode") {
					body = `{"mode":0}`
				}
				got := r.ask(route.method, path, body)
				if may := tt.may || route.verb == access.List; may != (got.status == route.status) {
					t.Errorf("%s %s = %d, may: %v", route.method, path, got.status, may)
				}
				if got.status >= 400 {
					if e := got.error(t); e.Code != CodeForbidden || !strings.Contains(e.Message, tt.says) {
						t.Errorf("%s %s: %+v, want %s with %q", route.method, path, e, CodeForbidden, tt.says)
					}
				}
			}
			if calls := r.actions.taken(); (calls != "") != tt.may {
				t.Errorf("calls %q", calls)
			}
			d, err := r.client.Daemon(t.Context())
			if err != nil || (d.Records != nil) != tt.may || len(d.Devices) != 3 {
				t.Errorf("Daemon = %+v, %v; records only for operators", d, err)
			}
		})
	}
}

// TestRulesByDevice asserts that a rule about one phone holds for that one alone:
// here it can be acted on, or not even be known of.
func TestRulesByDevice(t *testing.T) {
	mine := access.Peer{Origin: access.Local, UID: noUser, GID: 4321}
	r := newRig(t, func(c *Config) {
		c.Peer = func(net.Conn) access.Peer { return mine }
		c.Gate = gateBy(t,
			access.Rule{Who: []string{"gid:4321"}, Devices: []string{annasUDID}, May: []string{"everything"}},
			access.Rule{Who: []string{"gid:4321"}, Devices: []string{"port:1-3"}, MayNot: []string{"list"}},
		)
	})
	devices, err := r.client.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.PortPath == "1-3" {
			t.Errorf("the list has %+v", d)
		}
	}
	if len(devices) == 0 {
		t.Error("the list is empty")
	}
	if got := r.ask("GET", "/v1/devices/1-3", ""); got.status != 404 || strings.Contains(got.error(t).Message, "1-3 ") {
		t.Errorf("GET of what is hidden = %+v", got)
	}
	if got := r.ask("POST", "/v1/devices/1-2/trust", ""); got.status != 202 {
		t.Errorf("trust = %+v", got)
	}
	others := 0
	for _, d := range devices {
		if d.UDID == nil || *d.UDID == annasUDID {
			continue
		}
		others++
		if got := r.ask("POST", "/v1/devices/"+d.PortPath+"/trust", ""); got.status != 403 {
			t.Errorf("trust of another phone = %+v", got)
		}
	}
	if got := r.ask("POST", "/v1/records/"+strings.Repeat("0", 40)+"/untrust", ""); got.status != 403 {
		t.Errorf("untrust of another record = %+v", got)
	}
	records, err := r.client.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if rec.UDID != annasUDID {
			t.Errorf("a record of another phone is shown: %+v", rec)
		}
	}
}

// TestKernel asserts that the kernel is asked who is there.
func TestKernel(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "control")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hub := NewHub(Config{})
	hub.Put("1-2", anna())
	srv := NewServer(hub, &fakeActions{}, Config{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	if _, err := Dial(path).Trust(t.Context(), "1-2", TrustRequest{}); err != nil {
		t.Error(err) // this user is the daemon's
	}
	srv.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
