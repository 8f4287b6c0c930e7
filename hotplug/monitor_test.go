package hotplug

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func TestRescanJudgesNoMuxAgain(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.plug(phone{port: "1-1", address: 3, serial: "a", desc: plainDescriptors})
	}, func(t *testing.T, s *session) {
		s.want("add 1-1/3 no-mux", "scanned")
		s.write("sys"+devpath("1-1")+"/descriptors", string(muxDescriptors))
		s.m.Rescan()
		s.want("remove 1-1/3 no-mux", "add 1-1/3 mux")
	})
}

// The kernel takes a device off the bus before it removes its directory.
func TestRescanInTheMiddleOfARemoval(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3, serial: "a"}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			s.must(os.Remove(filepath.Join(s.root, "sys/bus/usb/devices/1-1")))
			s.m.Rescan()
			s.want()
			s.must(os.RemoveAll(s.root + "/sys" + devpath("1-1")))
			time.Sleep(firstLook)
			s.want("remove 1-1/3 mux")
		})
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

func TestListsDecide(t *testing.T) {
	scripted(t, func(f *fake, cfg *Config) {
		cfg.Allow = []Rule{{Vendor: apple}, {Vendor: 0x1d6b, Product: 0x104}}
		cfg.Deny = []Rule{{Serial: "ABC"}}
		f.plug(phone{port: "1-1", address: 3})
		f.plug(phone{port: "1-2", address: 4, vendor: "1d6b", product: "0104"})
		f.plug(phone{port: "1-3", address: 5, vendor: "1d6b", product: "0105"})
		f.plug(phone{port: "1-4", address: 6, serial: "abc"})
	}, func(t *testing.T, s *session) {
		s.want("add 1-1/3 mux", "add 1-2/4 mux", "scanned")
		s.unplug("1-2")
		s.src.items <- item{msg: strings.ReplaceAll(kernelEvent("remove", devpath("1-2"), 4), "5ac/12a8", "1d6b/104")}
		s.want("remove 1-2/4 mux")
		s.write("sys"+devpath("1-1")+"/serial", "abc\n") // readable only now
		s.src.kernel("change", "1-1", 3)
		s.want("remove 1-1/3 mux")
	})
}

func TestSysfsThatCannotBeListedRemovesNothing(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			dir := filepath.Join(s.root, "sys/bus/usb/devices")
			s.must(os.Rename(dir, dir+".away"))
			s.write("sys/bus/usb/devices", "")
			time.Sleep(3 * rescanInterval)
			s.want()
			if n := len(s.logged("sysfs cannot be listed, devices are kept as they are")); n != 1 {
				t.Errorf("logged %d times; want 1", n)
			}
			s.must(os.Remove(dir))
			s.must(os.Rename(dir+".away", dir))
			s.unplug("1-1")
			time.Sleep(rescanInterval)
			s.want("remove 1-1/3 mux")
		})
}

func TestDeviceThatStaysUnreadableIsLoggedOnce(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) {
		f.plug(phone{port: "1-1", address: 3})
		f.write("sys"+devpath("1-1")+"/devnum", "")
	}, func(t *testing.T, s *session) {
		time.Sleep(5 * rescanInterval)
		s.want("scanned")
		lines := s.logged("device cannot be read")
		if len(lines) != 1 || lines[0].ContextMap()["sysfs"] != devpath("1-1") {
			t.Errorf("log = %v; want one warning with the path", lines)
		}
	})
}

// Nothing happens: the loop may look around once a minute and not more often.
func TestIdleCostsOneLookAMinute(t *testing.T) {
	scripted(t, func(f *fake, _ *Config) { f.plug(phone{port: "1-1", address: 3, serial: "a"}) },
		func(t *testing.T, s *session) {
			s.want("add 1-1/3 mux", "scanned")
			dir := filepath.Join(s.root, "sys/bus/usb/devices")
			s.must(os.Rename(dir, dir+".away"))
			s.write("sys/bus/usb/devices", "") // a look now leaves a line
			time.Sleep(rescanInterval - time.Nanosecond)
			synctest.Wait()
			if n := s.logs.Len(); n != 0 {
				t.Errorf("%d lines within a minute: %v; want none", n, s.logs.All())
			}
		})
}

// With Manual, what arrives waits for a rescan, also if udevd is done with it
// only after that; what leaves does not.
func TestManual(t *testing.T) {
	scripted(t, func(f *fake, cfg *Config) {
		cfg.Manual = true
		f.udevd()
		f.handled(3)
		f.plug(phone{port: "1-1", address: 3})
	}, func(t *testing.T, s *session) {
		s.want("add 1-1/3 mux", "scanned")
		s.handled(4)
		s.plug(phone{port: "1-2", address: 4})
		s.src.kernel("add", "1-2", 4)
		s.src.udev("add", "1-2", 4)
		time.Sleep(2 * rescanInterval)
		s.want()
		s.m.Rescan()
		s.want("add 1-2/4 mux")

		s.plug(phone{port: "1-3", address: 5}) // a rule of udevd's asks for the rescan
		s.src.kernel("add", "1-3", 5)
		s.want()
		s.m.Rescan()
		s.want()
		s.src.udev("add", "1-3", 5)
		s.want("add 1-3/5 mux")

		s.unplug("1-1")
		s.src.kernel("remove", "1-1", 3)
		s.want("remove 1-1/3 mux")
		s.handled(6)
		s.plug(phone{port: "1-1", address: 6}) // another one at the same place
		s.src.udev("add", "1-1", 6)
		s.want()
		s.m.Rescan()
		s.want("add 1-1/6 mux")
	})
}

func TestSetRules(t *testing.T) {
	rule := func(text string) []Rule {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		return []Rule{r}
	}
	scripted(t, func(f *fake, cfg *Config) {
		cfg.Deny = rule("port=1-1")
		f.plug(phone{port: "1-1", address: 3, serial: "a"})
		f.plug(phone{port: "1-2", address: 4, serial: "b"})
	}, func(t *testing.T, s *session) {
		s.want("add 1-2/4 mux", "scanned")
		s.must(s.m.SetRules(nil, rule("serial=b")))
		s.want("remove 1-2/4 mux", "add 1-1/3 mux")
		s.must(s.m.SetRules(rule("1d6b:0104"), nil)) // another vendor's, from now on
		s.want("remove 1-1/3 mux")
		s.plug(phone{port: "1-3", address: 5, vendor: "1d6b", product: "0104"})
		s.src.items <- item{msg: strings.ReplaceAll(kernelEvent("add", devpath("1-3"), 5), "PRODUCT=5ac/12a8", "PRODUCT=1d6b/104")}
		s.want("add 1-3/5 mux")
		if err := s.m.SetRules(nil, []Rule{{}}); err == nil {
			t.Error("want a rule that names nothing refused")
		}
		s.want()
	})
}
