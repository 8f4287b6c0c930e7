//go:build virtualphone

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/socket/client"
	"gomuxd/socket/tlstest"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// client sets the environment of a client with this certificate.
func (f *tlsFiles) client(t *testing.T, name string) {
	t.Setenv(client.CertificateEnv, f.path(name+".crt"))
	t.Setenv(client.KeyEnv, f.path(name+".key"))
	t.Setenv(client.AuthorityEnv, f.path("ca.crt"))
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// tlsDaemon is a daemon with a virtual phone that runs in this process.
type tlsDaemon struct {
	t       *testing.T
	phone   *virtualphone.Phone
	logs    *observer.ObservedLogs
	signals chan<- os.Signal
	stop    func()
	ended   chan error
}

// echoed is how many bytes port 1000 of the phone takes, gives back and ends with.
const echoed = 3_000_000

func startTLSDaemon(t *testing.T, conf string) *tlsDaemon {
	t.Helper()
	opts, err := parseOptions([]string{"--config", conf})
	if err != nil {
		t.Fatal(err)
	}
	s, err := opts.settings()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	d := newDaemon(opts, &s, zap.New(core))
	signals := make(chan os.Signal)
	d.signals = signals
	phone, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	phone.HandlePort(1000, func(_ context.Context, c net.Conn) {
		buf := make([]byte, echoed)
		if _, err := io.ReadFull(c, buf); err == nil {
			_, _ = c.Write(buf)
		}
	})
	bus := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
	bus.add(phone)
	d.source, d.open = bus.run, bus.open
	ctx, stop := context.WithCancel(context.Background())
	r := &tlsDaemon{t, phone, logs, signals, stop, make(chan error, 1)}
	go func() { r.ended <- d.run(ctx) }()
	t.Cleanup(stop)
	for len(ids(d)) == 0 {
		select {
		case err := <-r.ended:
			t.Fatalf("the daemon ended: %v", err)
		default:
			runtime.Gosched()
		}
	}
	return r
}

// end stops the daemon, in order.
func (r *tlsDaemon) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("run = %v", err)
	}
	if v := r.phone.Violations(); v.Total() != 0 {
		r.t.Errorf("the phone counted violations: %v", v)
	}
}

// echo sends to the phone's port 1000 and verifies what comes back.
func echo(t *testing.T, c *client.Client, id uint32) {
	t.Helper()
	conn, err := c.Connect(t.Context(), id, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out := make([]byte, echoed)
	service.Fill(1, 0, out)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(out)
		if err == nil {
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	back, err := io.ReadAll(conn)
	if err != nil || len(back) != echoed || service.Verify(1, 0, back) != nil {
		t.Errorf("back came %d bytes, %v, %v", len(back), err, service.Verify(1, 0, back))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestTLSDaemon runs the daemon with a TLS socket next to a plain one: data goes both
// ways, rules know the certificate, and SIGHUP reads the files again.
func TestTLSDaemon(t *testing.T) {
	f := newTLSFiles(t)
	port, conf := freePort(t), f.path("conf")
	text := fmt.Sprintf("listen = [%q, \"tls:127.0.0.1:%s\"]\nrecord_dir = %q\npid_file = 'NONE'\nforeground = true\n"+
		"[trust]\npolicy = 'never'\n[[access.rule]]\nwho = ['cert:ci-runner']\nmay = ['records']\n", f.path("s"), port, f.path("records")) + f.table()
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startTLSDaemon(t, conf)

	addr := "tls:localhost:" + port
	dial := func(name string) (*client.Client, []client.Device, error) {
		f.client(t, name)
		c, err := client.Dial(t.Context(), addr)
		if err != nil {
			return nil, nil, err
		}
		defer c.Close()
		list, err := c.ListDevices(t.Context())
		return c, list, err
	}
	c, list, err := dial("ci-runner")
	if err != nil || len(list) != 1 {
		t.Fatalf("list %v, %v", list, err)
	}
	echo(t, c, list[0].ID)
	if _, err := c.ReadBUID(t.Context()); err != nil {
		t.Errorf("a rule lets it read records: %v", err)
	}
	tlstest.Write(t, f.dir, "desk", f.ca.Issue("desk", x509.ExtKeyUsageClientAuth))
	if c, _, err = dial("desk"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadBUID(t.Context()); err == nil {
		t.Error("no rule lets desk read records, yet it did")
	}
	refused := d.logs.FilterMessage("refused").All()
	if len(refused) != 1 || refused[0].ContextMap()["certificate"] != "desk" {
		t.Errorf("logged %v", refused)
	}

	// A file that is no certificate changes nothing; another authority does.
	good, err := os.ReadFile(f.path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	reload := func(ca []byte) {
		t.Helper()
		if err := os.WriteFile(f.path("ca.crt"), ca, 0o600); err != nil {
			t.Fatal(err)
		}
		d.signals <- syscall.SIGHUP
		d.signals <- syscall.SIGUSR2 // ignored, once SIGHUP is done
		if err := os.WriteFile(f.path("ca.crt"), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload(pem.EncodeToMemory(&pem.Block{Type: "NOTHING"}))
	if n := d.logs.FilterMessage("configuration not read again, nothing has changed").Len(); n != 1 {
		t.Errorf("%d lines about a configuration that was not read", n)
	}
	if _, _, err := dial("desk"); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}
	other, err := os.ReadFile(tlstest.New(t).Write(f.dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	reload(other)
	if _, _, err := dial("desk"); err == nil {
		t.Error("the old authority still lets clients in")
	}
	d.end()
}

// TestRemoteDocument runs the commands of docs/remote.md, with this computer for both
// and its name for theirs.
func TestRemoteDocument(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl makes the certificates; install it")
	}
	text, err := os.ReadFile("../../docs/remote.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), freePort(t)
	here := strings.NewReplacer("lab.example", "localhost", "27016", port, "0.0.0.0", "127.0.0.1",
		"/etc/usbmuxd", dir, "/var/run/usbmuxd", dir+"/usbmuxd", "/run/user/1000", dir)
	block := func(kind string) string {
		t.Helper()
		m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindSubmatch(text)
		if m == nil {
			t.Fatalf("docs/remote.md has no block %q", kind)
		}
		return here.Replace(string(m[1]))
	}
	shell := func(command string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
		cmd.Dir = dir
		return cmd
	}
	if out, err := shell(block("sh certificates")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conf := filepath.Join(dir, "conf")
	rest := fmt.Sprintf("record_dir = %q\npid_file = 'NONE'\nforeground = true\n", filepath.Join(dir, "records"))
	if err := os.WriteFile(conf, []byte(rest+block("toml")+"[trust]\npolicy = 'never'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startTLSDaemon(t, conf)

	t.Run("muxctl", func(t *testing.T) {
		if out, err := exec.Command("go", "build", "-o", dir, "gomuxd/cmd/muxctl").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		cmd := shell("PATH=.:$PATH\n" + strings.ReplaceAll(block("sh muxctl"), "muxctl --socket", "muxctl --control "+dir+"/none --socket"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Virtual iPhone") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "phones.conf"), []byte(block("ini stunnel")), 0o600); err != nil {
		t.Fatal(err)
	}
	for program, command := range map[string]string{"socat": "exec " + block("sh socat"), "stunnel": "exec stunnel phones.conf"} {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("no %s; install it", program)
			}
			cmd := shell(command)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			over := make(chan error, 1)
			go func() { over <- cmd.Wait() }()
			defer func() {
				_ = cmd.Process.Kill()
				<-over
				if t.Failed() {
					t.Logf("%s", said.Bytes())
				}
				os.Remove(filepath.Join(dir, "phones"))
			}()
			for {
				c, err := client.Dial(t.Context(), filepath.Join(dir, "phones"))
				if err == nil {
					defer c.Close()
					list, err := c.ListDevices(t.Context())
					if err != nil || len(list) != 1 {
						t.Fatalf("list %v, %v", list, err)
					}
					if _, err := c.ReadBUID(t.Context()); err != nil {
						t.Error(err)
					}
					echo(t, c, list[0].ID)
					return
				}
				select {
				case err := <-over:
					over <- err
					t.Fatalf("%s ended: %v", program, err)
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	d.end()
}
