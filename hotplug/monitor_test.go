package hotplug

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// scripted runs body in a bubble, with a machine whose Monitor is stopped after.
func scripted(t *testing.T, prepare func(f *fake, cfg *Config), body func(t *testing.T, s *session)) {
	t.Helper()
	f := newFake(t)
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		f.src = make(chan *script, 16) // channels of the bubble
		f.jump = make(chan struct{})
		cfg := f.config()
		if prepare != nil {
			prepare(f, &cfg)
		}
		s := f.run(cfg)
		defer s.stop()
		body(t, s)
	})
}

func TestRunReportsColdDevicesThenChanges(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.plug(phone{port: "1-1", address: 3, serial: "00008110001C20223E29401E"})
		f.plug(phone{port: "1-2", address: 4, product: "1281"})
		f.plug(phone{port: "1-3", address: 5, product: "024f", desc: plainDescriptors})
		f.plug(phone{port: "1-4", address: 6, vendor: "1d6b"})
	}, func(t *testing.T, s *session) {
		s.want("add 1-1/3 mux", "add 1-2/4 recovery", "scanned")
		s.plug(phone{port: "1-2.3", address: 9, product: "1227"})
		s.src.kernel("add", "1-2.3", 9)
		s.want("add 1-2.3/9 dfu")
		s.unplug("1-2.3")
		s.src.kernel("remove", "1-2.3", 9)
		s.want("remove 1-2.3/9 dfu")
		s.src.kernel("remove", "1-2.3", 9) // udevd's word for the same
		s.src.kernel("change", "1-1", 3)
		s.src.kernel("bind", "1-1", 3)
		s.want()
	})
}

// A device between subscribing and scanning is both announced and found.
func TestRunReportsOnceWhatIsAnnouncedAndFound(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			s.src.kernel("add", "1-1", 3)
			s.src.udev("add", "1-1", 3)
			s.want("add 1-1/3 mux", "scanned")
		})
}

func TestLateRemovalSparesTheNewerDevice(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.plug(phone{port: "1-1", address: 3})
		s.src.kernel("add", "1-1", 3)
		s.want("scanned", "add 1-1/3 mux")
		s.unplug("1-1")
		s.plug(phone{port: "1-1", address: 4})
		s.src.kernel("add", "1-1", 4) // overtakes the removal
		s.want("remove 1-1/3 mux", "add 1-1/4 mux")
		s.src.kernel("remove", "1-1", 3)
		s.src.udev("remove", "1-1", 3)
		s.want()
		time.Sleep(2 * rescanInterval)
		s.want()
	})
}

func TestEarlyRemovalIsLookedAtAgain(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			s.src.kernel("remove", "1-1", 3) // sysfs still shows it
			s.want()
			s.unplug("1-1")
			time.Sleep(firstLook)
			s.want("remove 1-1/3 mux")
		})
}

func TestReplugWhileTheReceiverIsSlow(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			for address := 4; address < 8; address++ {
				s.unplug("1-1")
				s.src.kernel("remove", "1-1", address-1)
				synctest.Wait()
				s.plug(phone{port: "1-1", address: address})
				s.src.kernel("add", "1-1", address)
				synctest.Wait()
			}
			s.want("remove 1-1/3 mux", "add 1-1/7 mux")
		})
}

func TestCameAndWentWhileTheReceiverIsSlow(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.plug(phone{port: "1-1", address: 3}) // Scanned is not taken yet
		s.src.kernel("add", "1-1", 3)
		synctest.Wait()
		s.plug(phone{port: "1-2", address: 4})
		s.src.kernel("add", "1-2", 4)
		synctest.Wait()
		s.unplug("1-1")
		s.src.kernel("remove", "1-1", 3)
		s.want("scanned", "add 1-2/4 mux")
	})
}

func TestReplugWithoutEvents(t *testing.T) {
	for _, tt := range []struct {
		name    string
		address int // of the second device
	}{
		{"other address", 4},
		{"same address", 3}, // told apart by the inode of the directory
	} {
		t.Run(tt.name, func(t *testing.T) {
			scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3, serial: "a"}) },
				func(t *testing.T, s *session) {
					s.want("add 1-1/3 mux", "scanned")
					old := filepath.Join(s.root, "old") // keeps the inode in use
					s.must(os.Rename(s.root+"/sys"+devpath("1-1"), old))
					s.must(os.Remove(filepath.Join(s.root, "sys/bus/usb/devices/1-1")))
					s.plug(phone{port: "1-1", address: tt.address, serial: "b"})
					s.m.Rescan()
					s.want("remove 1-1/3 mux", fmt.Sprintf("add 1-1/%d mux", tt.address))
				})
		})
	}
}

func TestOverflowRescans(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			s.unplug("1-1")
			s.plug(phone{port: "1-2", address: 4})
			s.src.items <- item{err: errLost}
			s.want("remove 1-1/3 mux", "add 1-2/4 mux")
			s.plug(phone{port: "1-1", address: 5}) // dropped before the queue was empty
			s.src.items <- item{err: errDrained}
			s.want("add 1-1/5 mux")
			if n := len(s.logged("uevents were lost, rescanning")); n != 1 {
				t.Errorf("overflow logged %d times; want 1", n)
			}
			s.plug(phone{port: "1-3", address: 6})
			s.src.items <- item{msg: "add@/devices/x\x00ACTION=add\x00", from: sender{truncated: true}}
			s.want("add 1-3/6 mux")
		})
}

func TestRescanOnResumeAndSlowly(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.want("scanned")
		s.plug(phone{port: "1-1", address: 3})
		s.jump <- struct{}{}
		s.want("add 1-1/3 mux")
		s.unplug("1-1")
		time.Sleep(rescanInterval - time.Second)
		s.want()
		time.Sleep(time.Second)
		s.want("remove 1-1/3 mux")
	})
}

func TestUdevdSettlesOwnership(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.udevd()
		f.plug(phone{port: "1-1", address: 3})
		f.handled(3) // before we started
		f.plug(phone{port: "1-2", address: 4})
	}, func(t *testing.T, s *session) {
		s.want("add 1-1/3 mux", "scanned")
		s.src.kernel("add", "1-2", 4)
		s.want()
		s.src.udev("add", "1-2", 4)
		s.want("add 1-2/4 mux")

		// Its message does not reach us, its file does.
		s.plug(phone{port: "1-3", address: 5})
		s.src.kernel("add", "1-3", 5)
		s.want()
		s.handled(5)
		time.Sleep(firstLook)
		s.want("add 1-3/5 mux")

		// A message about the predecessor settles nothing.
		s.unplug("1-3")
		s.plug(phone{port: "1-3", address: 6})
		s.src.udev("add", "1-3", 5)
		s.want("remove 1-3/5 mux")

		// It never answers.
		time.Sleep(settleTime - time.Millisecond)
		s.want()
		time.Sleep(time.Second)
		s.want("add 1-3/6 mux")
		if n := len(s.logged("udevd has not handled a device, taking it as it is")); n != 1 {
			t.Errorf("logged %d times; want 1", n)
		}
	})
}

func TestUdevdAppearsAndLeaves(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.plug(phone{port: "1-1", address: 3})
		s.src.kernel("add", "1-1", 3)
		s.want("scanned", "add 1-1/3 mux")
		s.udevd()
		s.plug(phone{port: "1-2", address: 4})
		s.src.kernel("add", "1-2", 4)
		s.want()
		s.src.udev("add", "1-2", 4)
		s.want("add 1-2/4 mux")
		s.m.Rescan()
		s.want() // nor is what was taken without udevd taken back
		s.must(os.RemoveAll(filepath.Join(s.root, "run/udev")))
		s.plug(phone{port: "1-3", address: 5})
		s.src.kernel("add", "1-3", 5)
		s.want("add 1-3/5 mux")
	})
}

func TestNetlinkForbiddenMeansPolling(t *testing.T) {
	for _, cause := range []error{syscall.EPERM, syscall.EACCES, syscall.EAFNOSUPPORT} {
		t.Run(cause.Error(), func(t *testing.T) {
			scripted(t, func(f *fake, cfg *Config) {
				denied := fmt.Errorf("uevent socket: %w", cause)
				f.deny.Store(&denied)
				f.plug(phone{port: "1-1", address: 3, serial: "a"})
			}, func(t *testing.T, s *session) {
				s.want("add 1-1/3 mux", "scanned")
				s.unplug("1-1")
				s.plug(phone{port: "1-2", address: 4})
				time.Sleep(defaultPollInterval)
				s.want("remove 1-1/3 mux", "add 1-2/4 mux")
				time.Sleep(5 * rescanInterval)
				if n := len(s.logged("no uevents, polling sysfs")); n != 1 {
					t.Errorf("logged %d times; want 1", n)
				}
				synctest.Wait()
				s.deny.Store(nil)
				time.Sleep(rescanInterval + defaultPollInterval)
				synctest.Wait()
				s.src = <-s.fake.src
				s.unplug("1-2")
				s.src.kernel("remove", "1-2", 4)
				s.want("remove 1-2/4 mux")
			})
		})
	}
}

func TestSourceBreaks(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.want("scanned")
		s.plug(phone{port: "1-1", address: 3})
		s.src.items <- item{err: errors.New("receive uevent: I/O error")}
		s.want("add 1-1/3 mux")
		s.unplug("1-1")
		time.Sleep(defaultPollInterval)
		s.want("remove 1-1/3 mux")
		time.Sleep(rescanInterval)
		synctest.Wait()
		s.src = <-s.fake.src
		s.plug(phone{port: "1-2", address: 4})
		s.src.kernel("add", "1-2", 4)
		s.want("add 1-2/4 mux")
	})
}

func TestPollOnRequest(t *testing.T) {
	scripted(t, func(f *fake, cfg *Config) { cfg.Poll, cfg.PollInterval = true, 5*time.Second },
		func(t *testing.T, s *session) {
			if s.src != nil {
				t.Error("a source was opened; want none")
			}
			s.want("scanned")
			s.plug(phone{port: "1-1", address: 3})
			time.Sleep(5*time.Second - 1)
			s.want()
			time.Sleep(1)
			s.want("add 1-1/3 mux")
		})
}

func TestConfigurationChangeMakesMux(t *testing.T) {
	for _, action := range []string{"change", "bind"} {
		t.Run(action, func(t *testing.T) {
			scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3, desc: plainDescriptors}) },
				func(t *testing.T, s *session) {
					s.want("add 1-1/3 no-mux", "scanned")
					s.write("sys"+devpath("1-1")+"/descriptors", string(muxDescriptors))
					s.src.kernel(action, "1-1", 3)
					s.want("remove 1-1/3 no-mux", "add 1-1/3 mux")
				})
		})
	}
}

func TestMalformedDescriptorsAreLoggedAndSkipped(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.plug(phone{port: "1-1", address: 3, desc: muxDescriptors[:50]})
		f.plug(phone{port: "1-2", address: 4})
	}, func(t *testing.T, s *session) {
		s.want("add 1-2/4 mux", "scanned")
		time.Sleep(10 * rescanInterval)
		s.want()
		lines := s.logged("device skipped")
		if len(lines) != 1 || lines[0].ContextMap()["sysfs"] != devpath("1-1") || lines[0].Level != zap.WarnLevel {
			t.Errorf("log = %v; want one warning with the path", lines)
		}
		s.write("sys"+devpath("1-2")+"/descriptors", "broken") // a device in use is kept
		s.src.kernel("change", "1-2", 4)
		s.want()
		s.unplug("1-1")
		s.plug(phone{port: "1-1", address: 5})
		s.src.kernel("add", "1-1", 5)
		s.want("add 1-1/5 mux")
	})
}

func TestUnreadableDeviceIsTriedAgain(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.plug(phone{port: "1-1", address: 3})
		f.write("sys"+devpath("1-1")+"/idProduct", "")
	}, func(t *testing.T, s *session) {
		s.want("scanned")
		time.Sleep(firstLook)
		s.want()
		s.write("sys"+devpath("1-1")+"/idProduct", "12a8\n")
		time.Sleep(2 * firstLook)
		s.want("add 1-1/3 mux")
	})
}

func TestBurstOfOtherDevices(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.want("scanned")
		other := "add@/devices/virtual/net/veth7\x00ACTION=add\x00DEVPATH=/devices/virtual/net/veth7\x00SUBSYSTEM=net\x00INTERFACE=veth7\x00SEQNUM=12\x00"
		for i := range 10_000 {
			if i == 5000 {
				s.plug(phone{port: "1-1", address: 3})
				s.src.kernel("add", "1-1", 3)
			}
			s.src.items <- item{msg: other}
		}
		s.want("add 1-1/3 mux")
	})
}

func TestUeventOfAnotherPath(t *testing.T) {
	scripted(t, nil, func(t *testing.T, s *session) {
		s.want("scanned")
		s.src.items <- item{msg: kernelEvent("add", "/devices/../../etc/1-1", 3)}
		s.src.items <- item{msg: kernelEvent("add", devpath("1-1"), 3), from: sender{port: 99}}
		s.src.kernel("add", "1-9", 3) // nothing there
		s.want()
		if n := s.logs.FilterLevelExact(zap.WarnLevel).Len(); n != 2 {
			t.Errorf("%d warnings; want 2: %v", n, s.logs.All())
		}
	})
}

// A second Run at the same time is refused, a later one starts afresh.
func TestRunTwice(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			if err := s.m.Run(t.Context(), s.events); err == nil {
				t.Error("second Run = nil; want an error")
			}
			s.want("add 1-1/3 mux", "scanned")
		})
	if err := New(Config{PollInterval: -1}).Run(t.Context(), nil); err == nil {
		t.Error("Run with a negative interval = nil; want an error")
	}
	if err := New(Config{Deny: []Rule{{}}}).Run(t.Context(), nil); err == nil {
		t.Error("Run with an empty rule = nil; want an error")
	}
}

// Whatever happens to eight ports, with events lost, late, doubled and invented
// and a receiver that takes its time: the events alternate for each port, and
// once everything rests they have told what is there.
func TestAnyHistoryIsConsistent(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	scripted(t, nil, func(t *testing.T, s *session) {
		real := map[string]int{} // port to address
		told := map[string]int{}
		take := func() bool {
			synctest.Wait()
			select {
			case ev := <-s.events:
				d := ev.Device
				_, known := told[d.Port]
				switch {
				case ev.Action == Scanned:
				case ev.Action == Add && !known:
					told[d.Port] = d.Address
				case ev.Action == Remove && told[d.Port] == d.Address:
					delete(told, d.Port)
				default:
					t.Fatalf("%s, while the receiver knows of %v", show(ev), told)
				}
				return true
			default:
				return false
			}
		}
		next := 1
		for range 600 {
			port := fmt.Sprintf("1-%d", 1+rnd.IntN(8))
			address, there := real[port]
			action := "add"
			switch {
			case rnd.IntN(8) == 0:
				take()
				continue
			case there:
				s.unplug(port)
				delete(real, port)
				action = "remove"
			default:
				next = next%127 + 1
				address = next
				s.plug(phone{port: port, address: address})
				real[port] = address
			}
			for range rnd.IntN(3) { // 0: lost
				s.src.kernel(action, port, address)
			}
			switch rnd.IntN(20) {
			case 0:
				s.src.items <- item{err: errLost}
			case 1:
				s.src.kernel(strings.Split("add remove change bind unbind", " ")[rnd.IntN(5)], port, 1+rnd.IntN(127))
			}
			// The tree must not change under a look at it, as a real one cannot in
			// the middle of a directory handle.
			synctest.Wait()
		}
		s.m.Rescan()
		for take() {
		}
		if len(told) != len(real) {
			t.Fatalf("told of %v; want %v", told, real)
		}
		for port, address := range real {
			if told[port] != address {
				t.Fatalf("told of %v; want %v", told, real)
			}
		}
		if n := len(s.m.rescan); n != 0 {
			t.Errorf("%d rescans wait; want 0", n)
		}
	})
}
