package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gomuxd/control"
)

// Gather looks at everything, for as long as ctx lasts. It never fails: what it
// could not look at is in Unseen.
func Gather(ctx context.Context, o Options) Facts {
	o.validate()
	g := &gatherer{o: o, f: Facts{
		Now: o.Now, Device: o.Device,
		USB: []USBDevice{}, OverCurrent: []PortFault{}, Processes: []Process{}, Groups: []int{}, Unseen: []Unseen{},
		Udev:    Udev{Rules: []string{}},
		Socket:  Socket{Devices: []string{}},
		Records: RecordDir{Files: []string{}, Wide: []string{}},
	}}
	for _, step := range []struct {
		what string
		do   func(context.Context)
	}{
		{unseenBus, g.usb},
		{"udev", g.udev},
		{"running programs", g.processes},
		{"the control socket", g.control},
		{unseenRecords, g.records}, // where the daemon says
		{"the daemon's socket", g.socket},
	} {
		if err := ctx.Err(); err != nil {
			g.unseen(step.what, err)
			continue
		}
		step.do(ctx)
	}
	return g.f
}

// What Unseen calls things that checks ask for.
const (
	unseenBus     = "the USB bus"
	unseenRecords = "the pair records"
)

// gatherer collects one Facts.
type gatherer struct {
	o      Options
	f      Facts
	users  map[int]string // nil until asked for
	groups map[int]string
}

func (g *gatherer) unseen(what string, why error) {
	g.f.Unseen = append(g.f.Unseen, Unseen{What: what, Why: why.Error()})
}

// udev looks for the device manager and for a rule of ours.
func (g *gatherer) udev(context.Context) {
	_, err := os.Stat(filepath.Join(g.o.RunRoot, "udev/control"))
	g.f.Udev.Running = err == nil
	for _, dir := range []string{g.o.EtcRoot, g.o.RunRoot, g.o.LibRoot} {
		dir = filepath.Join(dir, "udev/rules.d")
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.unseen("udev rules", err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.Contains(name, "usbmux") && strings.HasSuffix(name, ".rules") {
				g.f.Udev.Rules = append(g.f.Udev.Rules, filepath.Join(dir, name))
			}
		}
	}
}

// control asks the daemon about itself.
func (g *gatherer) control(ctx context.Context) {
	c := &g.f.Control
	c.Node = g.node(g.o.Control)
	c.NotSocket = c.Exists && fileType(g.o.Control) != fs.ModeSocket
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	d, err := control.Dial(g.o.Control).Daemon(ctx)
	if err != nil {
		c.Error = cmp.Or(c.Error, err.Error())
		c.Denied = errors.Is(err, fs.ErrPermission)
		c.Accepts = c.Exists && !c.NotSocket && !c.Denied && !errors.Is(err, control.ErrNoDaemon)
		return
	}
	c.Accepts, c.Answers = true, true
	g.f.Daemon = &d
	if d.UID != 0 {
		g.f.Groups = g.groupsOf(d.PID)
	}
}

// groupsOf lists the groups of a process.
func (g *gatherer) groupsOf(pid int) []int {
	groups := []int{}
	b, err := readFile(filepath.Join(g.o.ProcRoot, strconv.Itoa(pid), "status"), 64<<10)
	if err != nil {
		g.unseen("the groups of the daemon", err)
		return groups
	}
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		if key != "Gid" && key != "Groups" {
			continue
		}
		for field := range strings.FieldsSeq(rest) {
			if n, err := strconv.Atoi(field); err == nil && !slices.Contains(groups, n) {
				groups = append(groups, n)
			}
		}
	}
	return groups
}

// node looks at a file's permissions. Links are followed.
func (g *gatherer) node(path string) Node {
	n := Node{Path: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return n
	case err != nil:
		n.Error = err.Error()
		return n
	}
	n.Exists = true
	n.Mode = uint32(info.Mode().Perm())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.UID, n.GID = int(st.Uid), int(st.Gid)
		n.Owner = g.owner(n.UID, n.GID)
	}
	if size, err := unix.Getxattr(path, "system.posix_acl_access", nil); err == nil {
		n.ACL = size > 0
	}
	return n
}

// owner names a user and a group as the files below EtcRoot do.
func (g *gatherer) owner(uid, gid int) string {
	if g.users == nil {
		g.users = ids(filepath.Join(g.o.EtcRoot, "passwd"))
		g.groups = ids(filepath.Join(g.o.EtcRoot, "group"))
	}
	return fmt.Sprintf("%s:%s", cmp.Or(g.users[uid], strconv.Itoa(uid)), cmp.Or(g.groups[gid], strconv.Itoa(gid)))
}

// ids reads a file like passwd(5) or group(5): the first name of each id.
func ids(path string) map[int]string {
	names := make(map[int]string)
	b, err := readFile(path, 1<<20)
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(line, ":")
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.Atoi(strings.TrimSpace(fields[2])); err == nil && names[id] == "" {
			names[id] = fields[0]
		}
	}
	return names
}

// fileType is the type bits of a file, links followed.
func fileType(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return fs.ModeIrregular
	}
	return info.Mode().Type()
}

// readFile reads at most limit bytes of a file; what lies behind is cut off.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
