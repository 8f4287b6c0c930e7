package hotplug

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

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

		// A removal settles nothing, nor does a message about the predecessor.
		s.unplug("1-3")
		s.plug(phone{port: "1-3", address: 6})
		s.src.udev("remove", "1-3", 6)
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
