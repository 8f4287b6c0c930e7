package hotplug

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// muxDescriptors are the descriptors of a phone with two configurations, the
// second with usbmux, spelled out byte by byte after USB 2.0 section 9.6.
var muxDescriptors = []byte{
	18, 1, 0x00, 0x02, 0, 0, 0, 64, 0xac, 0x05, 0xa8, 0x12, 0x02, 0x14, 1, 2, 3, 2,
	// configuration 1: PTP with three endpoints
	9, 2, 39, 0, 1, 1, 5, 0xc0, 250,
	9, 4, 0, 0, 3, 6, 1, 1, 14,
	7, 5, 0x02, 2, 0x00, 0x02, 0,
	7, 5, 0x81, 2, 0x00, 0x02, 0,
	7, 5, 0x83, 3, 0x40, 0x00, 10,
	// configuration 2: PTP without endpoints, usbmux
	9, 2, 41, 0, 2, 2, 6, 0xc0, 250,
	9, 4, 0, 0, 0, 6, 1, 1, 14,
	9, 4, 1, 0, 2, 255, 254, 2, 18,
	7, 5, 0x04, 2, 0x00, 0x02, 0,
	7, 5, 0x85, 2, 0x00, 0x02, 0,
}

// plainDescriptors are those of a keyboard: one configuration, one interface.
var plainDescriptors = []byte{
	18, 1, 0x00, 0x02, 0, 0, 0, 8, 0xac, 0x05, 0x4f, 0x02, 0x74, 0x00, 1, 2, 0, 1,
	9, 2, 18, 0, 1, 1, 0, 0xa0, 10,
	9, 4, 0, 0, 0, 3, 1, 1, 0,
}

// fake is a machine: sysfs, /run and a uevent source below one directory.
type fake struct {
	t    *testing.T
	root string
	src  chan *script          // sources handed out, for the test to drive
	deny atomic.Pointer[error] // what opening a source returns instead
	jump chan struct{}
	logs *observer.ObservedLogs
	log  *zap.Logger
}

func newFake(t *testing.T) *fake {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	f := &fake{t: t, root: t.TempDir(), src: make(chan *script, 16), jump: make(chan struct{}), logs: logs, log: zap.New(core)}
	f.mkdir("sys/bus/usb/devices")
	f.mkdir("sys/devices/pci0000:00/usb1")
	f.mkdir("run")
	return f
}

func (f *fake) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) mkdir(name string) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Join(f.root, name), 0o755))
}

func (f *fake) write(name, text string) {
	f.t.Helper()
	f.must(os.WriteFile(filepath.Join(f.root, name), []byte(text), 0o644))
}

func (f *fake) config() Config {
	return Config{
		Log:     f.log,
		SysRoot: filepath.Join(f.root, "sys"),
		RunRoot: filepath.Join(f.root, "run"),
		DevRoot: "/dev",
	}
}

// monitor makes a Monitor of this machine.
func (f *fake) monitor(cfg Config) *Monitor {
	m := New(cfg)
	m.openSource = func() (source, error) {
		if err := f.deny.Load(); err != nil {
			return nil, *err
		}
		s := &script{items: make(chan item, 20000), closed: make(chan struct{})}
		f.src <- s
		return s, nil
	}
	m.openClock = func() (waiter, error) { return &fakeClock{jump: f.jump, closed: make(chan struct{})}, nil }
	return m
}

// phone is what a fake device shows.
type phone struct {
	port    string
	address int
	product string // "12a8" unless set
	vendor  string // "05ac" unless set
	serial  string
	speed   string // "480" unless set
	desc    []byte // muxDescriptors unless set
}

// devpath gives the DEVPATH of a port of bus 1.
func devpath(port string) string {
	p := "/devices/pci0000:00/usb1"
	parts := strings.Split(port, ".")
	for i := range parts {
		p += "/" + strings.Join(parts[:i+1], ".")
	}
	return p
}

// plug makes a device appear in one step.
func (f *fake) plug(p phone) {
	f.t.Helper()
	or := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	if p.desc == nil {
		p.desc = muxDescriptors
	}
	tmp := "tmp" + p.port
	f.mkdir(tmp)
	f.write(tmp+"/busnum", "1\n")
	f.write(tmp+"/devnum", fmt.Sprintf("%d\n", p.address))
	f.write(tmp+"/idVendor", or(p.vendor, "05ac")+"\n")
	f.write(tmp+"/idProduct", or(p.product, "12a8")+"\n")
	f.write(tmp+"/bcdDevice", "1402\n")
	f.write(tmp+"/speed", or(p.speed, "480")+"\n")
	f.write(tmp+"/dev", fmt.Sprintf("189:%d\n", p.address-1))
	if p.serial != "" {
		f.write(tmp+"/serial", p.serial+"\n")
	}
	f.write(tmp+"/descriptors", string(p.desc))
	dir := devpath(p.port)
	f.mkdir("sys" + path.Dir(dir))
	f.must(os.Rename(filepath.Join(f.root, tmp), f.root+"/sys"+dir))
	f.must(os.Symlink("../../.."+dir, filepath.Join(f.root, "sys/bus/usb/devices", p.port)))
}

// unplug makes it disappear.
func (f *fake) unplug(port string) {
	f.t.Helper()
	f.must(os.Remove(filepath.Join(f.root, "sys/bus/usb/devices", port)))
	f.must(os.RemoveAll(f.root + "/sys" + devpath(port)))
}

// udevd makes udevd appear, with its files.
func (f *fake) udevd() {
	f.t.Helper()
	f.mkdir("run/udev/data")
	f.write("run/udev/control", "")
}

// handled makes udevd note that it is done with a device.
func (f *fake) handled(address int) {
	f.t.Helper()
	f.write(fmt.Sprintf("run/udev/data/c189:%d", address-1), "I:1\n")
}

// script is a source that the test writes.
type script struct {
	items  chan item
	closed chan struct{}
}

type item struct {
	msg  string
	from sender
	err  error
}

func (s *script) receive() ([]byte, sender, error) {
	select {
	case it := <-s.items:
		return []byte(it.msg), it.from, it.err
	case <-s.closed:
		return nil, sender{}, os.ErrClosed
	}
}

func (s *script) close() error { close(s.closed); return nil }

// kernel sends an event as the kernel does.
func (s *script) kernel(action, port string, address int) {
	s.items <- item{msg: kernelEvent(action, devpath(port), address)}
}

// udev sends an event as udevd does.
func (s *script) udev(action, port string, address int) {
	_, props, _ := strings.Cut(kernelEvent(action, devpath(port), address), "\x00")
	s.items <- item{msg: udevEvent(props), from: sender{port: 77, creds: true}}
}

func kernelEvent(action, devpath string, address int) string {
	return fmt.Sprintf("%s@%s\x00ACTION=%[1]s\x00DEVPATH=%s\x00SUBSYSTEM=usb\x00MAJOR=189\x00MINOR=%d\x00"+
		"DEVNAME=bus/usb/001/%03d\x00DEVTYPE=usb_device\x00PRODUCT=5ac/12a8/1402\x00TYPE=0/0/0\x00"+
		"BUSNUM=001\x00DEVNUM=%03[4]d\x00SEQNUM=4711\x00", action, devpath, address-1, address)
}

func udevEvent(props string) string {
	h := make([]byte, udevHeaderLen)
	copy(h, "libudev\x00\xfe\xed\xca\xfe")
	binary.NativeEndian.PutUint32(h[12:], udevHeaderLen)
	binary.NativeEndian.PutUint32(h[16:], udevHeaderLen)
	binary.NativeEndian.PutUint32(h[20:], uint32(len(props)))
	return string(h) + props
}

type fakeClock struct{ jump, closed chan struct{} }

func (c *fakeClock) wait() error {
	select {
	case <-c.jump:
		return nil
	case <-c.closed:
		return os.ErrClosed
	}
}

func (c *fakeClock) close() error { close(c.closed); return nil }

// session is a Monitor that runs in a synctest bubble.
type session struct {
	*fake
	m      *Monitor
	src    *script // nil if none could be had
	events chan Event
	stop   func()
}

// run starts a Monitor and waits until it rests. It ends with the test.
func (f *fake) run(cfg Config) *session {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{fake: f, m: f.monitor(cfg), events: make(chan Event)}
	done := make(chan error, 1)
	go func() { done <- s.m.Run(ctx, s.events) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("Run = %v; want nil once its context ended", err)
		}
	}
	synctest.Wait()
	select {
	case s.src = <-f.src:
	default:
	}
	return s
}

// want takes the events that are due and compares them, written as
// "add 1-2/5 mux", "remove 1-2/5 mux" and "scanned".
func (s *session) want(want ...string) {
	s.t.Helper()
	var got []string
	for {
		synctest.Wait()
		select {
		case ev := <-s.events:
			got = append(got, show(ev))
			continue
		default:
		}
		break
	}
	if g, w := strings.Join(got, ", "), strings.Join(want, ", "); g != w {
		s.t.Fatalf("events:\nwant %s\ngot  %s", w, g)
	}
}

func show(ev Event) string {
	if ev.Action == Scanned {
		return "scanned"
	}
	return fmt.Sprintf("%v %s/%d %v", ev.Action, ev.Device.Port, ev.Device.Address, ev.Device.Kind)
}

// logged gives the lines with this message.
func (f *fake) logged(msg string) []observer.LoggedEntry { return f.logs.FilterMessage(msg).All() }
