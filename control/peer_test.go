package control

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestIdentities(t *testing.T) {
	const nobody = 1<<31 - 7 // has no entry in the user database
	for _, tt := range []struct {
		name  string
		peer  Peer
		err   error
		group string
		may   bool
		says  string
	}{
		{name: "root", peer: Peer{UID: 0}, group: "no-such-group", may: true},
		{name: "the daemon's user", peer: Peer{UID: uint32(os.Geteuid()), GID: nobody}, may: true},
		{name: "primary group by gid", peer: Peer{UID: nobody, GID: 4321}, group: "4321", may: true},
		{name: "primary group by name", peer: Peer{UID: nobody, GID: 0}, group: "root", may: true},
		{name: "supplementary group", peer: Peer{UID: nobody, GID: 4320, Groups: []uint32{1, 4321}}, group: "4321", may: true},
		{name: "another group", peer: Peer{UID: nobody, GID: 4320}, group: "4321", says: "group 4321 may do this, and you are uid 2147483641"},
		{name: "no such group", peer: Peer{UID: nobody, GID: 1}, group: "no-such-group", says: "there is no group no-such-group"},
		{name: "unknown", err: errors.ErrUnsupported, group: "4321", says: "sudo muxctl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				c.Group = tt.group
				c.Peer = func(net.Conn) (Peer, error) { return tt.peer, tt.err }
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
				got := r.ask(route.method, path, body)
				if may := tt.may || !route.operator; may != (got.status == route.status) {
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

// A member that the user database has in the group may act.
func TestSupplementaryGroup(t *testing.T) {
	f, err := os.Open("/etc/group")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		part := strings.Split(lines.Text(), ":")
		if len(part) != 4 || part[3] == "" {
			continue
		}
		u, err := user.Lookup(strings.Split(part[3], ",")[0])
		if err != nil || u.Uid == "0" {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		p := Peer{UID: uint32(uid), GID: 1<<31 - 7}
		if !p.operator(part[0]) || !p.operator(part[2]) || p.operator("no-such-group") && !p.privileged() {
			t.Errorf("%s in group %s (%s) may not act", u.Username, part[0], part[2])
		}
		return
	}
	t.Skip("no group has members on this computer")
}

func TestKernelPeer(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "control")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hub := NewHub(Config{})
	hub.Put("1-2", anna())
	var seen Peer
	srv := NewServer(hub, &fakeActions{}, Config{Peer: func(c net.Conn) (Peer, error) {
		p, err := kernelPeer(c)
		seen = p
		return p, err
	}})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	if _, err := Dial(path).Trust(t.Context(), "1-2", TrustRequest{}); err != nil {
		t.Error(err)
	}
	srv.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{PID: int32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Groups: []uint32{}}
	for _, g := range groups {
		want.Groups = append(want.Groups, uint32(g))
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("peer %+v, want %+v", seen, want)
	}
	if _, err := kernelPeer(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("peer of no socket: %v", err)
	}
}
