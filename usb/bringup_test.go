package usb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gousb"
	"go.uber.org/zap"
)

// fakePhone answers the bring-up.
type fakePhone struct {
	confs   []configuration
	now     int
	nowErr  error
	refuse  map[int]error // configurations that cannot be set
	answer  byte          // to SET_MODE
	modeErr error
	name    string
	nameErr error

	set      []int
	requests []string
}

func (ph *fakePhone) identity() (uint16, uint16)      { return 0x05ac, 0x12a8 }
func (ph *fakePhone) configurations() []configuration { return ph.confs }
func (ph *fakePhone) active() (int, error)            { return ph.now, ph.nowErr }
func (ph *fakePhone) serial() (string, error)         { return ph.name, ph.nameErr }

func (ph *fakePhone) configure(value int) error {
	ph.set = append(ph.set, value)
	return ph.refuse[value]
}

func (ph *fakePhone) vendorIn(request uint8, index uint16, data []byte) (int, error) {
	switch request {
	case reqGetMode:
		ph.requests = append(ph.requests, "get")
		return copy(data, []byte{3, 3, 3, 0}), ph.modeErr
	case reqSetMode:
		ph.requests = append(ph.requests, "set "+Mode(index).String())
		data[0] = ph.answer
		return 1, ph.modeErr
	}
	return 0, errors.New("unknown request")
}

func TestBringUp(t *testing.T) {
	const name = "00008110000A11112222001E"
	broken := errors.New("broken")
	busyErr := &BusyError{Interface: 0, Driver: "usbfs"}
	for _, tt := range []struct {
		name     string
		phone    fakePhone
		policy   Mode
		err      error
		value    int
		set      []int
		requests string
	}{
		{name: "active already", phone: fakePhone{confs: initial, now: 4, name: name}, policy: ModeInitial, value: 4},
		{name: "unconfigured", phone: fakePhone{confs: initial, now: 0, name: name}, value: 4, set: []int{4}},
		{name: "lower one active", phone: fakePhone{confs: initial, now: 3, name: name}, value: 4, set: []int{4}},
		{name: "best refused, next active", phone: fakePhone{confs: initial, now: 3, name: name, refuse: map[int]error{4: broken}}, value: 3, set: []int{4}},
		{name: "best refused", phone: fakePhone{confs: initial, now: 1, name: name, refuse: map[int]error{4: broken}}, value: 3, set: []int{4, 3}},
		{name: "all refused", phone: fakePhone{confs: initial, now: 1, name: name, refuse: map[int]error{4: broken, 3: broken}}, err: ErrConfiguration, set: []int{4, 3}},
		{name: "another program holds it", phone: fakePhone{confs: initial, now: 1, name: name, refuse: map[int]error{4: busyErr, 3: busyErr}}, err: ErrBusy, set: []int{4, 3}},
		{name: "configuration not told", phone: fakePhone{confs: initial, nowErr: broken, name: name}, err: ErrConfiguration},
		{name: "no usbmux", phone: fakePhone{confs: direct, now: 1, name: name}, err: ErrNoMux},
		{name: "no serial", phone: fakePhone{confs: initial, now: 4}, err: ErrNoSerial, value: 4},
		{name: "serial not told", phone: fakePhone{confs: initial, now: 4, nameErr: broken}, err: ErrNoSerial, value: 4},
		{name: "keep", phone: fakePhone{confs: mode3, now: 5, name: name}, value: 5},
		{name: "switched", phone: fakePhone{confs: mode3, now: 5, name: name}, policy: ModeInitial, err: ErrModeSwitched, requests: "get, set initial"},
		{name: "switch refused", phone: fakePhone{confs: mode3, now: 5, name: name, answer: 1}, policy: ModeInitial, value: 5, requests: "get, set initial"},
		{name: "switch stalls", phone: fakePhone{confs: mode3, now: 5, name: name, modeErr: broken}, policy: ModeInitial, value: 5, requests: "get, set initial"},
		{name: "direct mode is left", phone: fakePhone{confs: direct, now: 1, name: name}, policy: ModeInitial, err: ErrModeSwitched, requests: "get, set initial"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := bringUp(&tt.phone, testAddress, Config{Mode: tt.policy}.withDefaults(), new(switches))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if p.value != tt.value {
				t.Errorf("configuration %d, want %d", p.value, tt.value)
			}
			if len(tt.phone.set) != len(tt.set) {
				t.Errorf("set %v, want %v", tt.phone.set, tt.set)
			}
			if got := strings.Join(tt.phone.requests, ", "); got != tt.requests {
				t.Errorf("requests %q, want %q", got, tt.requests)
			}
			if err == nil && (p.serial != name || p.product != 0x12a8 || p.iface != 1) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// A phone that agrees to every switch and comes back as it was is used in the end.
func TestModeSwitchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known switches
		ph := &fakePhone{confs: mode3, now: 5, name: "x"}
		cfg := Config{Mode: ModeInitial}.withDefaults()
		at := testAddress
		if _, err := bringUp(ph, at, cfg, &known); !errors.Is(err, ErrModeSwitched) {
			t.Fatalf("first: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := bringUp(ph, at, cfg, &known); !errors.Is(err, ErrModeSwitched) || len(ph.requests) != 2 {
			t.Errorf("before it has left: %v, requests %v", err, ph.requests)
		}
		at.Address++
		if _, err := bringUp(ph, at, cfg, &known); err != nil || len(ph.requests) != 2 {
			t.Errorf("back in the same mode: %v, requests %v", err, ph.requests)
		}
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		running := 0
		for range 5 {
			go turns.do(context.Background(), "a", time.Minute, func() (prepared, error) {
				if running++; running != 1 {
					t.Error("two at once")
				}
				time.Sleep(time.Second)
				running--
				return prepared{}, nil
			})
		}
		begin := time.Now()
		time.Sleep(time.Millisecond)
		if _, err := turns.do(context.Background(), "b", time.Minute, func() (prepared, error) { return prepared{serial: "x"}, nil }); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("waited %v for five bring-ups of a second each", d)
		}
	})
}

// A bring-up that hangs in the kernel holds up the others for its timeout once.
func TestHungBringUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		free := make(chan struct{})
		hang := func() (prepared, error) { <-free; return prepared{}, nil }
		good := func() (prepared, error) { return prepared{}, nil }
		go func() {
			time.Sleep(time.Second)
			begin := time.Now()
			if _, err := turns.do(context.Background(), "good", 10*time.Second, good); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d != 9*time.Second {
				t.Errorf("the other phone waited %v, want 9s", d)
			}
		}()
		if _, err := turns.do(context.Background(), "bad", 10*time.Second, hang); !errors.Is(err, ErrHung) {
			t.Errorf("hung: %v", err)
		}
		synctest.Wait()
		begin := time.Now()
		if _, err := turns.do(context.Background(), "bad", 10*time.Second, hang); !errors.Is(err, ErrHung) || time.Since(begin) != 0 {
			t.Errorf("again: %v after %v", err, time.Since(begin))
		}
		close(free)
		synctest.Wait()
		if _, err := turns.do(context.Background(), "bad", 10*time.Second, good); err != nil {
			t.Errorf("recovered: %v", err)
		}
	})
}

func TestCancelledBringUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		slow := func() (prepared, error) { time.Sleep(3 * time.Second); return prepared{}, nil }
		begin := time.Now()
		if _, err := turns.do(ctx, "a", 10*time.Second, slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
		if _, err := turns.do(context.Background(), "b", 10*time.Second, slow); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 6*time.Second {
			t.Errorf("both took %v, want 6s: one at a time", d)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	_, err := newTurns().do(context.Background(), "a", time.Minute, func() (prepared, error) { panic("libusb") })
	if err == nil || !strings.Contains(err.Error(), "libusb") {
		t.Errorf("%v", err)
	}
}

func TestConvert(t *testing.T) {
	desc := &gousb.DeviceDesc{Configs: map[int]gousb.ConfigDesc{
		4: {Number: 4, Interfaces: []gousb.InterfaceDesc{
			{Number: 0, AltSettings: []gousb.InterfaceSetting{{Number: 0, Class: 6, SubClass: 1, Protocol: 1}}},
			{Number: 1, AltSettings: []gousb.InterfaceSetting{{Number: 1, Class: 255, SubClass: 254, Protocol: 2,
				Endpoints: map[gousb.EndpointAddress]gousb.EndpointDesc{
					0x04: {Address: 0x04, MaxPacketSize: 512, TransferType: gousb.TransferTypeBulk},
					0x85: {Address: 0x85, MaxPacketSize: 512, TransferType: gousb.TransferTypeBulk},
				}}}},
		}},
		1: {Number: 1},
	}}
	got := choices(convert(desc))
	if len(got) != 1 || got[0].value != 4 || got[0].endpoints != testEndpoints {
		t.Errorf("choices %+v", got)
	}
}

// On a machine without this device, with or without USB, Open says what is
// missing, and leaves nothing of libusb behind.
func TestOpenWithoutDevice(t *testing.T) {
	_, err := Open(context.Background(), Address{Bus: 99, Address: 127, Node: "/dev/bus/usb/099/127", SysPath: "/devices/none"}, Config{Log: zap.NewNop()})
	if !errors.Is(err, ErrGone) && !errors.Is(err, ErrNoUSB) {
		t.Errorf("Open = %v, want ErrGone", err)
	}
}
