package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
	"gomuxd/plist"
	"gomuxd/socket/client"
)

// kills is how often TestKills kills the daemon: GOMUXD_KILLS, or some times.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("GOMUXD_KILLS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("GOMUXD_KILLS=%q is no number of kills", text)
	}
	return n
}

// keeper is a client that saves and deletes the record of a phone that is not here,
// over and over, and knows what it has been promised.
type keeper struct {
	udid   string
	n      int // of the next record
	acked  int // of the record that must be there, 0 for none
	trying int // of the one that may be there instead, likewise
	count  int // of requests that were answered
}

// run waits for the daemon and asks until it or ctx ends. A request that the disk
// was too slow for has no known outcome, as the last one has none.
func (k *keeper) run(ctx context.Context, socket string) error {
	for ctx.Err() == nil {
		c, err := client.Dial(ctx, socket)
		if err != nil { // nothing tells of its coming
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
			continue
		}
		defer c.Close()
		for err == nil {
			err = k.ask(ctx, c)
		}
		if refused := (*client.ResultError)(nil); errors.As(err, &refused) && !errors.Is(err, syscall.ETIMEDOUT) {
			return err
		}
		return nil
	}
	return nil
}

func (k *keeper) ask(ctx context.Context, c *client.Client) (err error) {
	if k.n++; k.n%4 == 0 && k.acked != 0 {
		k.trying = 0
		err = c.DeletePairRecord(ctx, k.udid)
	} else {
		k.trying = k.n
		var data []byte
		if data, err = k.record(k.n); err == nil {
			err = c.SavePairRecord(ctx, k.udid, data, 0)
		}
	}
	if err == nil {
		k.acked = k.trying
		k.count++
	}
	return err
}

// record is the nth one, large enough for several writes of the disk.
func (k *keeper) record(n int) ([]byte, error) {
	return plist.MarshalXML(map[string]any{"HostID": strconv.Itoa(n), "EscrowBag": bytes.Repeat([]byte{byte(n)}, 8<<10)})
}

// check compares what is on disk with what was promised.
func (k *keeper) check(dir string) error {
	name := filepath.Join(dir, k.udid+".plist")
	data, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		if k.acked != 0 && k.trying != 0 {
			return fmt.Errorf("%s: record %d was saved, %d was on its way, none is there", k.udid, k.acked, k.trying)
		}
		k.acked = 0
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range []int{k.acked, k.trying} {
		want, err := k.record(n)
		if err != nil {
			return err
		}
		if n != 0 && bytes.Equal(want, data) {
			k.acked, k.trying = n, n
			if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
				return fmt.Errorf("%s: mode %v, %v", k.udid, st.Mode(), err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: %d bytes that are neither record %d nor %d", k.udid, len(data), k.acked, k.trying)
}

// TestKills kills the daemon at random points of its life, its start included, while
// clients save and delete records and a trusted phone is plugged in. Each time the
// directory holds what was promised, and the next daemon starts.
func TestKills(t *testing.T) {
	r := start(t, e2e.Config{Apart: true, Passcode: "1234"})
	phone(t, r, "replug")
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	awaitTrust(t, r, trust.Trusted)
	path, trusted := record(t, r)
	buid, err := os.ReadFile(filepath.Join(r.Records, "SystemConfiguration.plist"))
	if err != nil {
		t.Fatal(err)
	}
	r.Kill()
	began := time.Now()
	if err := r.Launch(); err != nil {
		t.Fatal(err)
	}
	start := time.Since(began)
	r.Kill()

	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 7))
	keepers := make([]*keeper, 4)
	for i := range keepers {
		keepers[i] = &keeper{udid: fmt.Sprintf("%040x", i+1)}
	}
	life := []time.Duration{2 * start, start + 300*time.Millisecond} // at most: while it starts, while it serves
	early, answered := 0, 0
	for n := range kills(t) {
		where := fmt.Sprintf("kill %d of seed %d", n, seed)
		ready := strings.Count(r.Log(), " INFO ready ")
		if err := r.Begin(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(limit(t))
		var wg sync.WaitGroup
		for _, k := range keepers {
			wg.Go(func() {
				if err := k.run(ctx, r.Socket); err != nil {
					t.Errorf("%s: %s: %v", where, k.udid, err)
				}
			})
		}
		select {
		case <-r.Ended():
			stop()
			t.Fatalf("%s: the daemon ended by itself\n%s", where, r.Log())
		case <-time.After(time.Duration(random.Int64N(int64(life[n%len(life)])))):
		}
		r.Kill()
		stop()
		wg.Wait()
		if strings.Count(r.Log(), " INFO ready ") == ready {
			early++
		}
		for _, k := range keepers {
			if err := k.check(r.Records); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		}
		for name, want := range map[string][]byte{path: trusted, filepath.Join(r.Records, "SystemConfiguration.plist"): bytes.TrimSpace(buid)} {
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(want, bytes.TrimSpace(got)) {
				t.Fatalf("%s: %s became %d bytes, %v", where, filepath.Base(name), len(got), err)
			}
		}
		if pid, err := os.ReadFile(filepath.Join(r.Dir, "pid")); err != nil || strings.Trim(string(pid), "0123456789") != "" {
			t.Fatalf("%s: pid file %q, %v", where, pid, err)
		}
	}
	for _, k := range keepers {
		answered += k.count
	}
	t.Logf("%d kills, %d of them before the daemon was ready; %d requests answered; start took %v", kills(t), early, answered, start)
	if answered == 0 {
		t.Error("no kill found records being written")
	}

	if err := r.Launch(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(r.Records, ".gomuxd-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	c, err := client.Dial(limit(t), r.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, k := range keepers {
		data, err := c.ReadPairRecord(limit(t), k.udid)
		want, merr := k.record(k.acked)
		if k.acked != 0 && (err != nil || merr != nil || !bytes.Equal(want, data)) || k.acked == 0 && err == nil {
			t.Errorf("%s: read %d bytes, %v; want record %d", k.udid, len(data), err, k.acked)
		}
	}
	awaitTrust(t, r, trust.Trusted)
	run(t, r, "SUCCESS", "idevicepair", "validate")
}
