package farm

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/virtualphone"
)

var (
	pictures = flag.String("screenshots", "", "take pictures for the documents into `DIR`")
	history  = flag.Duration("history", time.Minute, "let transfers go on for so long before")
)

// built builds the programs once for all tests.
var built = sync.OnceValues(func() (e2e.Binaries, error) { return e2e.Build(context.Background(), scratch, false) })

var scratch string // directory

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "gomuxd-farm-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// start runs a farm, of which one phone is asked only when somebody says so.
func start(t *testing.T, n int) *Farm {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	udid, err := UDID(unasked)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Start(bin, t.TempDir(), n, "--trust-policy", udid+"=ask")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

const unasked = 11 // "Kiosk 01"

// serve runs muxctl serve on a port of the kernel's choice and returns the link
// with the right to act.
func serve(t *testing.T, f *Farm) string {
	t.Helper()
	cmd := f.Command(context.Background(), "muxctl", "serve", "--listen", "127.0.0.1:0", "--actions")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("muxctl serve: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`http://\S+#token=\S+`).FindString(line)
	if link == "" {
		t.Fatalf("no link in %q", line)
	}
	return link
}

// browser runs a script with a page of the dashboard at link, and obeys its orders.
func browser(t *testing.T, f *Farm, link, script string, args ...string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium: make setup installs it")
	}
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		t.Skip("no playwright-core: make setup installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	cmd.Dir = "browser"
	cmd.Env = append(os.Environ(), "DASHBOARD="+link, "CHROMIUM="+chromium, "PHONES="+strconv.Itoa(len(f.Phones)))
	var report strings.Builder
	cmd.Stderr = &report
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for orders := bufio.NewScanner(out); orders.Scan(); {
		answer := "done"
		if err := f.obey(ctx, orders.Text()); err != nil {
			answer = err.Error()
		}
		fmt.Fprintln(in, answer)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, &report)
	}
	t.Log(&report)
}

// obey does what a script orders: "unplug Anna's iPhone".
func (f *Farm) obey(ctx context.Context, order string) error {
	verb, name, _ := strings.Cut(order, " ")
	switch verb {
	case "stop":
		return f.Shutdown()
	case "start":
		return f.Launch()
	}
	for _, p := range f.Phones {
		if p.Name() != name {
			continue
		}
		switch verb {
		case "unplug":
			p.Unplug()
			return nil
		case "plug":
			_, err := p.Plug()
			return err
		case "transfer":
			f.wg.Go(func() { _ = f.transfer(ctx, p.UDID(), false, 20_000_000, 20*time.Second) }) // the daemon goes meanwhile
			return nil
		}
	}
	return errors.New("not understood")
}

// TestBrowser uses the dashboard in Chromium.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser and a farm")
	}
	f := start(t, 14)
	await(t, f)
	browser(t, f, serve(t, f), "check.mjs")
}

// await waits until the owners who trust have done so.
func await(t *testing.T, f *Farm) {
	t.Helper()
	for i, p := range f.Phones {
		if breedOf(i).owner == trusts && i != unasked {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if _, err := p.Wait(ctx, func(s virtualphone.State) bool { return len(s.Hosts) > 0 }); err != nil {
				t.Fatalf("%s: %v", p.Name(), err)
			}
			cancel()
		}
	}
}

// TestScreenshots takes the documents' pictures, of a farm that has been busy for a
// while.
func TestScreenshots(t *testing.T) {
	if *pictures == "" {
		t.Skip("make screenshots does that")
	}
	dir, err := filepath.Abs(*pictures)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, 32)
	link := serve(t, f)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f.Transfer(ctx, 400_000, 0, 2, 8, 9, 10, 12, 13, 16, 17, 20, 24)
	pause(ctx, *history*9/10)
	for _, i := range []int{3, 12, 17} { // some life before the picture
		f.Phones[i].Unplug()
		if _, err := f.Phones[i].Plug(); err != nil {
			t.Fatal(err)
		}
	}
	pause(ctx, *history/10)
	browser(t, f, link, "screenshots.mjs", dir)
}
