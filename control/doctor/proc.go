package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// muxers are the names, as the kernel cuts them at 15 bytes, of programs that
// drive phones themselves.
var muxers = []string{"usbmuxd", "usbmuxd2", "gomuxd", "rusbmux"}

// processes looks for daemons, and for whoever has a device open.
func (g *gatherer) processes(context.Context) {
	entries, err := os.ReadDir(g.o.ProcRoot)
	if err != nil {
		g.unseen("running programs", err)
		return
	}
	wanted := make(map[string]*USBDevice)
	for i := range g.f.USB {
		wanted[g.f.USB[i].Node.Path] = &g.f.USB[i]
	}
	hidden := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p := g.process(pid)
		if slices.Contains(muxers, p.Program) {
			g.f.Processes = append(g.f.Processes, p)
		}
		if len(wanted) == 0 {
			continue
		}
		dir := filepath.Join(g.o.ProcRoot, e.Name(), "fd")
		fds, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrPermission) {
			hidden++
		}
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if err != nil {
				continue
			}
			if d := wanted[target]; d != nil && (d.Holder == nil || slices.Contains(muxers, p.Program)) {
				d.Holder = &p
			}
		}
	}
	slices.SortFunc(g.f.Processes, func(a, b Process) int { return a.PID - b.PID })
	for _, d := range wanted {
		d.HoldersKnown = hidden == 0
	}
	if hidden > 0 {
		g.unseen("which programs have a device open", fmt.Errorf("%d programs of other users may not be looked into; root may", hidden))
	}
}

// process names one program.
func (g *gatherer) process(pid int) Process {
	dir := filepath.Join(g.o.ProcRoot, strconv.Itoa(pid))
	comm, _ := readFile(filepath.Join(dir, "comm"), 64)
	exe, _ := os.Readlink(filepath.Join(dir, "exe"))
	return Process{PID: pid, Program: strings.TrimSpace(string(comm)), Path: exe}
}
