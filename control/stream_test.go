package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/access"
)

// lines opens a stream by hand and returns a reader of its lines.
func (r *rig) lines() func() string {
	r.t.Helper()
	resp, err := r.client.do(r.t.Context(), "GET", nil, "events")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		r.t.Errorf("content type %q", kind)
	}
	b := bufio.NewReader(resp.Body)
	return func() string {
		line, err := b.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSuffix(line, "\n")
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		line := r.lines()
		expect := func(wants ...string) {
			t.Helper()
			for _, want := range wants {
				if got := line(); !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Fatalf("line %q, want %q", got, want)
				}
			}
		}
		expect("id: 1", "event: added", `data: {"type":"added","device":{"device_id":1,`, "")
		expect("id: 2", "event: added", `data: {"type":"added","device":{"device_id":3,`, "")
		expect("id: 3", "event: added", `data: {"type":"added","device":{"device_id":null,"udid":null,`, "")
		expect("id: 4", "event: ready", "data: {}", "")

		start := time.Now()
		expect(": keep-alive", "")
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("the comment came after %v, want 30 s", d)
		}
		time.Sleep(20 * time.Second)
		d := anna()
		d.Trust = "trusted"
		r.hub.Put("1-2", d)
		expect("id: 5", "event: changed", `data: {"type":"changed","device":{"device_id":3,`, "")
		start = time.Now()
		expect(": keep-alive", "")
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("the comment came %v after an event, want 30 s", d)
		}
		r.hub.Remove("1-2")
		expect("id: 6", "event: removed", `data: {"type":"removed","device":{"device_id":3,`, "")

		r.srv.Close()
		if got := line(); got != io.EOF.Error() && got != io.ErrUnexpectedEOF.Error() {
			t.Errorf("after Close: %q", got)
		}
	})
}

// churn changes a device so often that a queue of a few events overflows.
func (r *rig) churn() {
	for i := range 200 {
		d := anna()
		d.Name = fmt.Sprint(i)
		r.hub.Put("1-2", d)
	}
}

// A client that stops reading is dropped, keeps nobody waiting meanwhile and
// gives back its place.
func TestStuckClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.QueueEvents, c.Streams = 4, 1 })
		conn, err := r.pipes.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		r.churn()
		if d := time.Since(start); d != 0 {
			t.Errorf("200 changes took %v", d)
		}
		if got := r.ask("GET", "/v1/events", "").error(t); got.Code != CodeBusy {
			t.Errorf("a second stream: %+v, want %s", got, CodeBusy)
		}
		time.Sleep(11 * time.Second)
		if n := r.logs.FilterMessage("client does not read its events, dropped").Len(); n != 1 {
			t.Errorf("%d drops logged, want 1", n)
		}
		if err := r.client.Watch(t.Context(), func(Event) error { return io.EOF }); err != io.EOF {
			t.Errorf("a stream after that: %v", err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the stuck connection ends with %v, want EOF", err)
		}
	})
}

// A client that is merely slow reads why its stream ends.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.QueueEvents = 4 })
		err := r.client.Watch(t.Context(), func(e Event) error {
			if e.Type == Ready {
				r.churn()
				time.Sleep(time.Second)
			}
			return nil
		})
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeSlow {
			t.Errorf("Watch = %v, want %s", err, CodeSlow)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		err := r.client.Watch(ctx, func(e Event) error {
			got = append(got, fmt.Sprint(e.Type, " ", e.Device.PortPath))
			switch {
			case e.Type == Ready:
				r.hub.Remove("2-1")
			case e.Type == DeviceRemoved:
				cancel()
			}
			return nil
		})
		if want := "added 1-3, added 1-2, added 2-1, ready , removed 2-1"; strings.Join(got, ", ") != want || !errors.Is(err, context.Canceled) {
			t.Errorf("Watch saw %q, %v; want %q", got, err, want)
		}
		synctest.Wait()
		if n := len(r.hub.subscribers); n != 0 {
			t.Errorf("%d subscriptions outlive their client", n)
		}
	})
}

// The daemon's end is told from a stream that is over.
func TestWatchUntilClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		err := r.client.Watch(t.Context(), func(e Event) error {
			if e.Type == Ready {
				go r.srv.Close()
			}
			return nil
		})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Watch = %v, want %v", err, io.ErrUnexpectedEOF)
		}
	})
}

// Close ends what is under way, and waits for it.
func TestClose(t *testing.T) {
	noLeaks(t)
	r := newRig(t)
	idle, err := r.pipes.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ended := make(chan error, 8)
	ready := make(chan struct{}, cap(ended))
	for range cap(ended) {
		go func() {
			ended <- r.client.Watch(t.Context(), func(e Event) error {
				if e.Type == Ready {
					ready <- struct{}{}
				}
				return nil
			})
		}()
	}
	for range cap(ended) {
		<-ready
	}
	r.srv.Close()
	r.srv.Close()
	if n := len(r.hub.subscribers); n != 0 {
		t.Errorf("%d subscriptions after Close", n)
	}
	for range cap(ended) {
		if err := <-ended; err == nil {
			t.Error("a stream ended without an error")
		}
	}
	if err := r.srv.Serve(newPipes()); err != nil {
		t.Errorf("Serve after Close = %v, want nil", err)
	}
}

// One user cannot take all places; root still finds one, and who finds none is
// told so.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		uid := uint32(1<<31 - 7)
		r := newRig(t, func(c *Config) {
			c.Connections = 4
			c.Peer = func(net.Conn) access.Peer { return access.Peer{Origin: access.Local, UID: uid} }
		})
		var held []net.Conn
		hold := func(n int) {
			for range n {
				conn, err := r.pipes.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, conn)
			}
			synctest.Wait()
		}
		hold(2)
		if e := r.ask("GET", "/v1/devices", "").error(t); e.Code != CodeBusy {
			t.Errorf("a third connection: %+v, want %s", e, CodeBusy)
		}
		hold(8) // those who are told so have places of their own, of which these are half
		if _, err := r.client.Devices(t.Context()); err == nil || !strings.Contains(err.Error(), "too many clients") {
			t.Errorf("one more: %v, want a closed connection", err)
		}
		uid = 0
		hold(1)
		if _, err := r.client.Devices(t.Context()); err != nil {
			t.Errorf("root: %v", err)
		}
		for _, c := range held {
			c.Close()
		}
		synctest.Wait()
		uid = 1<<31 - 7
		if _, err := r.client.Devices(t.Context()); err != nil {
			t.Errorf("after all have left: %v", err)
		}
	})
}

// Headers and bodies that do not come hold a connection for ten seconds.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"half a header", "GET /v1/devices HTTP/1.1\r\nHost: x\r\n"},
		{"half a body", "POST /v1/devices/1-2/trust HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"},
		{"a body nobody wants", "POST /v1/nonsense HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				conn, err := r.pipes.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				start := time.Now()
				go io.WriteString(conn, tt.in)
				_, _ = io.ReadAll(conn)
				if d := time.Since(start); d > 11*time.Second {
					t.Errorf("held for %v", d)
				}
				if calls := r.actions.taken(); calls != "" {
					t.Errorf("calls %q", calls)
				}
			})
		})
	}
}
