package service

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// start serves one end of a pipe with h and returns the host's end. When the test
// ends, the handler must have returned, or return at once, and have left no goroutine
// behind.
func start(t *testing.T, h Handler) net.Conn {
	t.Helper()
	before := runtime.NumGoroutine()
	host, phone := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h(ctx, phone)
	}()
	host.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the handler does not end with its context")
		}
		host.Close()
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			runtime.Gosched()
			time.Sleep(time.Millisecond) // the closer of bind may be on its way out
		}
		t.Errorf("want %d goroutines after the handler, got %d", before, runtime.NumGoroutine())
	})
	return host
}

// wantEOF checks that the phone sends nothing more and closes.
func wantEOF(t *testing.T, host net.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(host); err != nil || len(rest) > 0 {
		t.Errorf("want the end of the connection, got %q, %v", rest, err)
	}
}

// handlers are all services, as a phone runs them.
func handlers() map[string]Handler {
	n := NewNotifications()
	s := NewSyslog()
	s.Logf("kernel", "hello")
	return map[string]Handler{
		"afc":         AFC(NewFS()),
		"proxy":       n.Proxy(true),
		"insecure":    n.Proxy(false),
		"syslog":      s.Relay(),
		"heartbeat":   Heartbeat(time.Hour),
		"diagnostics": Diagnostics(nil, nil),
		"echo":        Echo(),
		"source":      Source(),
		"sink":        Sink(),
		"discard":     Discard(),
	}
}

// TestHandlersEnd ends every service by its context, by the host's close and in the
// middle of a message.
func TestHandlersEnd(t *testing.T) {
	for name, h := range handlers() {
		t.Run(name+"/context", func(t *testing.T) { start(t, h) })
		t.Run(name+"/close", func(t *testing.T) { start(t, h).Close() })
		t.Run(name+"/half", func(t *testing.T) {
			host := start(t, h)
			go io.Copy(io.Discard, host) // ends with the handler, which closes the pipe
			host.Write([]byte{0, 0, 0})
			host.Close()
		})
	}
}
