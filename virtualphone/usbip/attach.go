package usbip

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gomuxd/virtualphone/rawconn"
)

// Controllers is where the kernel shows its virtual host controllers: the ports
// of all are listed and attached through the first.
const Controllers = "/sys/devices/platform/vhci_hcd.0"

// States of a port in the status files.
const portFree = 4

// sendBuffer holds several IN transfers on their way to the kernel, in bytes.
const sendBuffer = 4 << 20

// port is one line of a status file.
type port struct {
	controller int
	super      bool
	number     int // over all controllers
	state      int
}

// Port is a port of a virtual host controller with a device in it. Its Conn is
// the device's end; closing it unplugs.
type Port struct {
	net.Conn
	Number     int // over all controllers
	Controller int
}

// attaching lets one device at a time find and take a port.
var attaching sync.Mutex

// Attach takes a free port of the speed, the one with number prefer if it is
// free within a moment, else one of the controller with the most free ports. It
// needs root and the module vhci_hcd.
func Attach(speed Speed, prefer int) (*Port, error) {
	attaching.Lock()
	defer attaching.Unlock()
	deadline := time.Now().Add(5 * time.Second)
	for {
		ports, err := readPorts(Controllers)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("%w: load the kernel module vhci_hcd", err)
			}
			return nil, err
		}
		p, ok := choose(ports, speed, prefer, time.Now().After(deadline))
		switch {
		case !ok && time.Now().After(deadline):
			return nil, fmt.Errorf("%w for %s speed", ErrNoPort, speed)
		case ok:
			c, err := attach(p, speed)
			if err == nil {
				return &Port{Conn: c, Number: p.number, Controller: p.controller}, nil
			}
			// Another program may have been faster.
			if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.EINVAL) || time.Now().After(deadline) {
				return nil, err
			}
		}
		time.Sleep(20 * time.Millisecond) // the kernel clears a port some time after its device left
	}
}

// choose picks a free port. While late is false, only prefer will do if it is
// the number of a port.
func choose(ports []port, speed Speed, prefer int, late bool) (port, bool) {
	free := make(map[int]int) // by controller
	for _, p := range ports {
		if p.super != (speed == Super) {
			continue
		}
		if p.number == prefer && p.state == portFree {
			return p, true
		}
		if p.number == prefer && !late {
			return port{}, false
		}
		if p.state == portFree {
			free[p.controller]++
		}
	}
	var best port
	found := false
	for _, p := range ports {
		if p.super == (speed == Super) && p.state == portFree && (!found || free[p.controller] > free[best.controller]) {
			best, found = p, true
		}
	}
	return best, found
}

// attach gives one end of a new socket pair to the kernel.
func attach(p port, speed Speed) (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	defer unix.Close(fds[0]) // the kernel takes a reference of its own
	for _, fd := range fds {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // slower, but works
		}
	}
	file := os.NewFile(uintptr(fds[1]), "usbip")
	c, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	conn, err := rawconn.New(c)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	// The device id is only shown in sysfs.
	order := fmt.Sprintf("%d %d %d %d", p.number, fds[0], 1<<16|p.number+1, speed)
	if err := os.WriteFile(filepath.Join(Controllers, "attach"), []byte(order), 0); err != nil {
		conn.Close()
		return nil, fmt.Errorf("attach to port %d: %w", p.number, err)
	}
	return conn, nil
}

// readPorts reads the status files status, status.1, ... below dir.
func readPorts(dir string) ([]port, error) {
	var all []port
	for i := 0; ; i++ {
		name := "status"
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) && i > 0 {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parseStatus(string(b), i)...)
	}
}

// parseStatus reads one status file: a line of titles, then
// "hs  0000 004 000 00000000 000000 0-0" for each port: hub, number, state,
// speed, device id, socket, bus id. Lines that say something else are skipped.
func parseStatus(text string, controller int) []port {
	var all []port
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || f[0] != "hs" && f[0] != "ss" {
			continue
		}
		number, err1 := strconv.Atoi(f[1])
		state, err2 := strconv.Atoi(f[2])
		if err1 != nil || err2 != nil || number < 0 {
			continue
		}
		all = append(all, port{controller: controller, super: f[0] == "ss", number: number, state: state})
	}
	return all
}
