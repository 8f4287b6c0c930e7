package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// unixListener opens a socket as a service manager does.
func unixListener(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestPassedSockets(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	l := unixListener(t, dir+"/s")
	for _, tt := range []struct {
		name string
		set  []string // options
		want []string // addresses
	}{
		{"in place of the default", nil, []string{dir + "/s"}},
		{"the same one, by another way", []string{"-S", dir + "/link/s"}, []string{dir + "/s"}},
		{"beside another one", []string{"-S", dir + "/other"}, []string{dir + "/s", dir + "/other"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := passed{clients: []net.Listener{l}}.openClients(set(tt.set...), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(all[1:])
			if got := addresses(all); !slices.Equal(got, tt.want) {
				t.Errorf("want %v, got %v", tt.want, got)
			}
		})
	}
}

// TestPassedAddress asserts that a service manager opens this computer to others
// no more easily than the command line does.
func TestPassedAddress(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := defaults()
	if _, err := (passed{clients: []net.Listener{l}}).openClients(&s, nil); err == nil || !strings.Contains(err.Error(), "allow_remote = true") {
		t.Errorf("want a refusal that names the key, got %v", err)
	}
	s.AllowRemote = true
	if all, err := (passed{clients: []net.Listener{l}}).openClients(&s, nil); err != nil || len(all) != 1 {
		t.Errorf("want it served, got %v, %v", all, err)
	}
}

func TestListenerOf(t *testing.T) {
	l := unixListener(t, filepath.Join(t.TempDir(), "s"))
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := listenerOf(f); err != nil || got.Addr().String() != l.Addr().String() {
		t.Errorf("want %v, got %v, %v", l.Addr(), got, err)
	} else {
		got.Close()
	}
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} { // of which no one listens
		fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listenerOf(os.NewFile(uintptr(fd), "x")); err == nil || !strings.Contains(err.Error(), "ListenStream=") {
			t.Errorf("want a refusal with the remedy, got %v", err)
		}
	}
}

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	l := unixListener(t, dir+"/passed")
	for _, tt := range []struct {
		name string
		p    passed
		set  []string
		want []string
		err  string
	}{
		{name: "beside the first Unix socket", set: []string{"-S", "127.0.0.1:1", "-S", dir + "/s"}, want: []string{dir + "/s.control"}},
		{name: "none for addresses alone", set: []string{"-S", "127.0.0.1:1"}},
		{name: "none if so wished", set: []string{"-S", dir + "/s", "--control", none}},
		{name: "one that was asked for", set: []string{"--control", dir + "/c"}, want: []string{dir + "/c"}},
		{name: "one that was asked for and cannot be", set: []string{"--control", dir + "/no/c"}, err: "control socket: "},
		{name: "one that cannot be, and nobody asked", set: []string{"-S", dir + "/no/s"}},
		{name: "passed", p: passed{control: []net.Listener{l}}, set: []string{"-S", dir + "/s"}, want: []string{dir + "/passed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := tt.p.openControl(set(tt.set...), zap.NewNop())
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("want an error with %q, got %v", tt.err, err)
				}
				return
			}
			if got := addresses(all); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("want %v, got %v, %v", tt.want, got, err)
			}
			if len(tt.p.control) == 0 {
				closeAll(all)
			}
		})
	}
}
