package socket

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gomuxd/access"
)

const otherUDID = "00008110-000A1111222233FF"

// as runs f on a thread of its own under other credentials, which the kernel
// notes with what it connects.
func as(t *testing.T, uid, gid uint32, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to be others")
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatalf("become uid %d: %v", uid, err)
	}
}

// open lets other users come to the rig's socket.
func (r *rig) open() {
	r.t.Helper()
	if err := os.Chmod(filepath.Dir(filepath.Dir(r.path)), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// gateOf opens a gate with rules before the default profile.
func gateOf(t *testing.T, rules ...access.Rule) *access.Gate {
	t.Helper()
	p, err := access.NewPolicy(rules, "")
	if err != nil {
		t.Fatal(err)
	}
	r := new(access.Rules)
	r.Set(p)
	return &access.Gate{Rules: r}
}

// TestAccess plays every verb by people, services and root, towards a phone that a
// rule closes and one that is open.
func TestAccess(t *testing.T) {
	const (
		root, anna, bo, www, uucp = 0, 1000, 1001, 33, 10
	)
	gate := gateOf(t,
		access.Rule{Who: []string{"uid:1001"}, Devices: []string{udid24}, MayNot: []string{"list"}},
		access.Rule{Who: []string{"uid:33"}, Devices: []string{udid24}, MayNot: []string{"connect"}},
		access.Rule{Who: []string{"uid:10"}, Ports: []string{"62078"}, May: []string{"connect"}},
		access.Rule{Who: []string{"uid:10"}, MayNot: []string{"connect"}},
	)
	r := newGatedRig(t, gate)
	r.open()
	first := r.attach(newFakeDevice())
	second := r.attachInfo(Info{UDID: otherUDID, ProductID: 0x12a8, LocationID: 0x10005}, newFakeDevice())
	record := data("PairRecordData", document(recordXML))
	for _, tt := range []struct {
		uid      uint32
		sees     []string
		first    uint32 // result of Connect to the first phone, port 62078
		second   uint32 // port 1
		records  uint32 // result of reads and saves
		deletion uint32
	}{
		{root, []string{udid24, otherUDID}, 0, 0, 0, 0},
		{anna, []string{udid24, otherUDID}, 0, 0, 0, 0},
		{bo, []string{otherUDID}, resultBadDevice, 0, 0, 0},
		{www, []string{udid24, otherUDID}, resultRefused, 0, 13, 13},
		{uucp, []string{udid24, otherUDID}, 0, resultRefused, 13, 13},
	} {
		t.Run(fmt.Sprint(tt.uid), func(t *testing.T) {
			if err := r.records.Save(udid24, document(recordXML)); err != nil {
				t.Fatal(err)
			}
			as(t, tt.uid, tt.uid, func() {
				h := r.dial()
				h.t = t
				h.write(ask(1, "ListDevices"))
				list := string(h.read().payload)
				for _, id := range []string{udid24, otherUDID} {
					if strings.Contains(list, id) != slices.Contains(tt.sees, id) {
						t.Errorf("list has %s: %v", id, strings.Contains(list, id))
					}
				}
				for i, kind := range []string{"ReadBUID", "ReadPairRecord"} {
					h.write(ask(uint32(2+i), kind, str("PairRecordID", udid24)))
					if tt.records != 0 {
						h.result(uint32(2+i), tt.records)
					} else if d := h.read().dict(t); d["MessageType"] != nil {
						t.Errorf("%s = %v", kind, d)
					}
				}
				h.write(ask(4, "SavePairRecord", str("PairRecordID", udid24), record))
				h.result(4, tt.records)
				h.write(ask(5, "DeletePairRecord", str("PairRecordID", udid24)))
				h.result(5, tt.deletion)
				for _, c := range []struct {
					id   uint32
					port uint16
					want uint32
				}{{first, 62078, tt.first}, {second, 1, tt.second}} {
					h := r.dial()
					h.t = t
					h.write(askConnect(6, c.id, c.port))
					h.result(6, c.want)
					h.Close()
				}
				l := r.dial()
				l.t = t
				l.listen(7)
				for _, id := range tt.sees {
					if d := l.read().dict(t); d["MessageType"] != "Attached" || !strings.Contains(fmt.Sprint(d), id) {
						t.Errorf("event %v, want Attached of %s", d, id)
					}
				}
			})
		})
	}
	var refusals, reads int
	for _, e := range r.logs.All() {
		f := e.ContextMap()
		switch e.Message {
		case "refused":
			if refusals++; f["uid"] == nil || f["verb"] == nil || f["error"] == nil {
				t.Errorf("refused %v", f)
			}
		case "pair record read":
			if reads++; f["udid"] != udid24 || f["uid"] == nil || f["program"] == "" {
				t.Errorf("read %v", f)
			}
		}
	}
	if refusals != 2+8 || reads != 3 {
		t.Errorf("%d refusals, %d reads in the log", refusals, reads)
	}
}

// TestHiddenEvents asserts that a listener hears nothing at all of a phone that is
// hidden from it.
func TestHiddenEvents(t *testing.T) {
	gate := gateOf(t)
	gate.Devices = []string{"port:1-2"}
	r := newGatedRig(t, gate)
	h := r.dial()
	h.listen(1)
	info := Info{UDID: otherUDID, ProductID: 0x12a8, Port: "1-1"}
	hidden := r.attachInfo(info, newFakeDevice())
	r.reg.Paired(otherUDID)
	r.reg.Detach(hidden)
	info.UDID, info.Port = udid24, "1-2"
	shown := r.attachInfo(info, newFakeDevice())
	h.event("Attached", shown)
	r.reg.Paired(udid24)
	h.event("Paired", shown)
	r.reg.Detach(shown)
	h.event("Detached", shown)

	c := r.dial()
	c.write(ask(1, "ReadPairRecord", str("PairRecordID", otherUDID)))
	c.result(1, 13)
}

// TestLarge asserts that connections of one user, and of all, beyond a number are small,
// that those which have ended leave their place to others, and that clients without
// one take none.
func TestLarge(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Large, c.UserLarge = 3, 2 })
	r.open()
	d := newFakeDevice()
	id := r.attach(d)
	connect := func(t *testing.T, small bool) (*host, *phone) {
		t.Helper()
		h := r.dial()
		h.t = t
		p := h.connect(d, id, 1)
		if p.small != small {
			t.Errorf("small: %v, want %v", p.small, small)
		}
		return h, p
	}
	d.dial = func(_ context.Context, p *phone) error {
		if p.port == 2 {
			return errPhoneReset
		}
		return nil
	}
	as(t, 1000, 1000, func() {
		for range 3 {
			h := r.dial()
			h.t = t
			h.write(askConnect(1, id, 2))
			h.result(1, resultRefused)
		}
		first, p := connect(t, false)
		connect(t, false)
		third, _ := connect(t, true)
		third.Close() // held no place
		first.Close()
		p.awaitClosed(t)
		r.until(func() bool { return len(r.srv.clients) == 3+1 })
		connect(t, false)
		connect(t, true)
	})
	connect(t, false) // root's first is the third of all
	connect(t, true)
}

// TestCrowd asserts that clients too many get an answer, that others than the user
// who has too many are served, and that there is room again when some go.
func TestCrowd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Clients, c.UserClients = 6, 3 })
	r.open()
	as(t, 1000, 1000, func() {
		var hosts []*host
		for range 3 {
			h := r.dial()
			h.t = t
			h.sync()
			hosts = append(hosts, h)
		}
		for tag, request := range [][]byte{ask(0, "ListDevices"), askConnect(1, 1, 62078), ask(2, "Listen")} {
			h := r.dial()
			h.t = t
			h.write(request)
			want := uint32(resultBadCommand)
			if tag == 1 {
				want = resultRefused
			}
			h.result(uint32(tag), want)
			h.eof()
			h.Close()
		}
		for _, h := range hosts {
			h.Close()
		}
		for served := false; !served; {
			h := r.dial()
			served = strings.Contains(h.tried(), "DeviceList")
			h.Close()
		}
	})
	// Root may have as many as there is room for. Who comes then is told so, or finds
	// the door closed.
	var served, refused, closed int
	for range 8 {
		switch answer := r.dial().tried(); {
		case strings.Contains(answer, "DeviceList"):
			served++
		case strings.Contains(answer, "Result"):
			refused++
		default:
			closed++
		}
	}
	if served == 0 || refused == 0 || served > 6 {
		t.Errorf("%d served, %d refused, %d closed", served, refused, closed)
	}
}

// tried asks for the devices, and returns the answer, "" if there is none.
func (h *host) tried() string {
	_, _ = h.Write(ask(9, "ListDevices"))
	var head [headerSize]byte
	if _, err := io.ReadFull(h, head[:]); err != nil {
		return ""
	}
	payload := make([]byte, decodeHeader(&head).length-headerSize)
	_, _ = io.ReadFull(h, payload)
	return string(payload)
}

// TestOwner asserts that a socket in use names who has it.
func TestOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(path, 0); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("Listen = %v", err)
	}
}
