package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// guestEnded is the bit of isa-debug-exit's value that guest-job sets.
const guestEnded = 64

// bootArguments make an emulated boot short and quiet.
const bootArguments = "console=ttyS0 quiet loglevel=5 mitigations=off nokaslr tsc=reliable no_timer_check " +
	"random.trust_cpu=on audit=0 cryptomgr.notests panic=-1 net.ifnames=0"

// Run boots a machine and runs a program in it. A program that fails is no
// error: its exit status is in the result. Errors are a machine that did not
// come so far, with the end of its console, and ctx's end, which leaves
// nothing running.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.validate(); err != nil {
		return Result{}, err
	}
	image, err := Image(ctx)
	if err != nil {
		return Result{}, err
	}
	unlock, err := lock(ctx, filepath.Join(filepath.Dir(image), "run.lock"))
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	dir, err := os.MkdirTemp("", "gomuxd-vm-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	m := machine{cfg: &cfg, image: image, dir: dir, in: filepath.Join(dir, "in"), out: cfg.Results}
	if m.out == "" {
		m.out = filepath.Join(dir, "out")
	}
	if err := m.prepare(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Scale(cfg.Timeout),
		fmt.Errorf("the vm ran longer than %v", Scale(cfg.Timeout)))
	defer cancel()
	return m.run(ctx)
}

// machine is one run.
type machine struct {
	cfg                 *Config
	image, dir, in, out string // directories
}

// prepare fills the shares.
func (m *machine) prepare() error {
	for _, d := range []string{m.in, m.out} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if m.cfg.Disk != "" {
		f, err := os.OpenFile(m.cfg.Disk, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
			return err
		}
	}
	for name, from := range m.cfg.Files {
		if err := copyFile(filepath.Join(m.in, name), from); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(m.in, "job"), []byte(m.cfg.job()), 0o644)
}

func copyFile(to, from string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = io.Copy(dst, src)
	return err
}

// run starts QEMU, passes the output on, and waits for the end.
func (m *machine) run(ctx context.Context) (Result, error) {
	console, err := os.CreateTemp("", "gomuxd-vm-console-*.log")
	if err != nil {
		return Result{}, err
	}
	defer console.Close()
	output, err := net.Listen("unix", filepath.Join(m.dir, "output"))
	if err != nil {
		return Result{}, err
	}
	defer output.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := output.Accept()
		if err != nil {
			return // QEMU has ended without it
		}
		defer c.Close()
		_, _ = io.Copy(m.cfg.Output, c) // until QEMU's end
	})
	cmd := exec.Command("qemu-system-x86_64", m.arguments()...)
	cmd.Stdout, cmd.Stderr = console, console
	start := time.Now()
	err = runTied(ctx, cmd)
	r := Result{All: time.Since(start)}
	output.Close()
	wg.Wait()
	if b, err := os.ReadFile(filepath.Join(m.out, ".boot")); err == nil {
		if seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(b)), 64); err == nil {
			r.Boot = time.Duration(seconds * float64(time.Second))
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode()>>1&guestEnded != 0 && exit.ExitCode()&1 == 1 {
		r.ExitCode = exit.ExitCode() >> 1 &^ guestEnded
		if r.ExitCode < 62 {
			if r.ExitCode == 0 {
				_ = os.Remove(console.Name())
			} else {
				r.Console = console.Name()
			}
			return r, nil
		}
		err = fmt.Errorf("guest-job ended with %d", r.ExitCode)
	}
	if err == nil {
		err = errors.New("qemu ended by itself")
	}
	r.Console = console.Name()
	return r, fmt.Errorf("vm: %w; the console, kept in %s, ends with\n%s", err, console.Name(), tail(console.Name(), 30))
}

// arguments are QEMU's.
func (m *machine) arguments() []string {
	accel, cpu := "tcg", "max"
	if a := os.Getenv("GOMUXD_VM_ACCEL"); a != "" {
		accel, cpu = a, "host"
	}
	boot := bootArguments
	switch m.cfg.Flavour {
	case Fast:
		boot += " gomuxd.init=/usr/sbin/guest-init"
	case Udev:
		boot += " gomuxd.init=/usr/sbin/guest-init gomuxd.udev=1"
	case Systemd:
		boot += " gomuxd.init=/lib/systemd/systemd systemd.wants=guest-job.service systemd.show_status=no"
	}
	args := []string{
		"-machine", "pc,accel=" + accel, "-cpu", cpu, "-smp", "2", "-m", strconv.Itoa(m.cfg.Memory),
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", filepath.Join(m.image, "vmlinuz"), "-initrd", filepath.Join(m.image, "initrd.img"), "-append", boot,
		"-serial", "stdio",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
		"-device", "virtio-rng-pci",
		"-drive", "file=" + filepath.Join(m.image, "root.img") + ",format=raw,if=none,id=root,readonly=on",
		"-device", "virtio-blk-pci,drive=root",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=output,path=" + filepath.Join(m.dir, "output"),
		"-device", "virtserialport,chardev=output,name=output",
		"-fsdev", "local,id=in,path=" + m.in + ",security_model=none,readonly=on",
		"-device", "virtio-9p-pci,fsdev=in,mount_tag=in",
		"-fsdev", "local,id=out,path=" + m.out + ",security_model=none",
		"-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
	}
	if m.cfg.Disk != "" {
		args = append(args, "-drive", "file="+m.cfg.Disk+",format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk")
	}
	if !m.cfg.Reboot {
		args = append(args, "-no-reboot")
	}
	return args
}

// tail is the end of a file, in lines.
func tail(name string, lines int) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		return []byte(err.Error())
	}
	end := len(b)
	for ; lines > 0 && end > 0; lines-- {
		end = bytes.LastIndexByte(b[:end], '\n')
		if end < 0 {
			return b
		}
	}
	return b[end+1:]
}
