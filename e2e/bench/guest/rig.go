package main

import (
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
)

// phones is the process of the virtual phones, seen from the client.
type phones struct {
	cmd *exec.Cmd
	rpc *rpc.Client
}

func startPhones(speed string) (*phones, error) {
	cmd := exec.Command("/job/bench", "phone", speed)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &phones{cmd: cmd, rpc: rpc.NewClient(struct {
		io.Reader
		io.WriteCloser
	}{out, in})}, nil
}

func (p *phones) call(method string, args any) error {
	return p.rpc.Call("Phones."+method, args, &struct{}{})
}

func (p *phones) stop() error {
	p.rpc.Close() // the end of its input ends it
	return p.cmd.Wait()
}

// prepare makes the guest ready: modules, and no daemon but the benchmark's.
func prepare() error {
	if _, err := os.Stat("/usr/sbin/guest-job"); err != nil {
		return fmt.Errorf("this changes the machine; run it in the vm: make bench")
	}
	// apple-mfi-fastcharge sets the configuration anew when it is loaded.
	for _, module := range []string{"vhci_hcd", "apple_mfi_fastcharge"} {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe %s: %w: %s", module, err, out)
		}
	}
	return settle()
}

// settle waits until udevd has seen all events.
func settle() error {
	if out, err := exec.Command("udevadm", "settle", "--timeout=60").CombinedOutput(); err != nil {
		return fmt.Errorf("udevadm settle: %w: %s", err, out)
	}
	return nil
}

// versions are the kernel's and that of Debian's daemon.
func versions() (kernel, c string, err error) {
	k, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", "", err
	}
	v, err := exec.Command("dpkg-query", "-W", "-f=${Version}", "usbmuxd").Output()
	return strings.TrimSpace(string(k)), string(v), err
}
