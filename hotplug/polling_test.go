package hotplug

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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
			time.Sleep(5*time.Second - time.Nanosecond)
			s.want()
			time.Sleep(time.Nanosecond)
			s.want("add 1-1/3 mux")
		})
}
