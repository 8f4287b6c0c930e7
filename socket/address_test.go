package socket

import (
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Of many that start at once on a stale socket exactly one gets it, and that
// one can be reached.
func TestListenAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()

		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			won []net.Listener
		)
		for range 6 {
			wg.Go(func() {
				l, err := Listen(path, 0)
				if err != nil {
					if !errors.Is(err, ErrInUse) {
						t.Errorf("want ErrInUse, got %v", err)
					}
					return
				}
				mu.Lock()
				won = append(won, l)
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("want one listener, got %d", len(won))
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		won[0].Close()
	}
}

func TestCheckAddress(t *testing.T) {
	for _, good := range []string{"/run/s", "UNIX:/run/s", "unix:///run/s", "s", "127.0.0.1:1", "[::1]:65535", "::1:27015", "tcp://localhost:5"} {
		if err := CheckAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "UNIX:", "127.0.0.1:0", "127.0.0.1:65536", "host:", "[::1:5", "tcp://host"} {
		if err := CheckAddress(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: want ErrAddress, got %v", bad, err)
		}
	}
}
