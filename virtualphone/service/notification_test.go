package service

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// tell sends one message to the phone.
func tell(t *testing.T, host net.Conn, v any, inBinary bool) {
	t.Helper()
	if err := WritePlist(host, v, inBinary); err != nil {
		t.Fatal(err)
	}
}

// hear receives one notice and checks its encoding.
func hear(t *testing.T, host net.Conn, want notice, inBinary bool) {
	t.Helper()
	var got notice
	gotBinary, err := ReadPlist(host, &got)
	if err != nil || got != want || gotBinary != inBinary {
		t.Fatalf("want %+v, binary %v; got %+v, %v, %v", want, inBinary, got, gotBinary, err)
	}
}

// settle returns when the phone has carried out all that host has told it: it observes
// and posts a name of its own, last.
func settle(t *testing.T, host net.Conn, name string) {
	t.Helper()
	tell(t, host, notice{"ObserveNotification", name}, false)
	tell(t, host, notice{"PostNotification", name}, false)
	hear(t, host, notice{"RelayNotification", name}, false)
}

func TestProxy(t *testing.T) {
	n := NewNotifications()
	a, b := start(t, n.Proxy(true)), start(t, n.Proxy(true))
	tell(t, a, notice{"ObserveNotification", "one"}, false)
	tell(t, a, notice{"Nonsense", "one"}, false)
	settle(t, a, "ready a")
	settle(t, b, "ready b")

	n.Post("two") // nobody observes it
	n.Post("one")
	hear(t, a, notice{"RelayNotification", "one"}, false)
	tell(t, b, notice{"PostNotification", "one"}, false)
	hear(t, a, notice{"RelayNotification", "one"}, false)

	tell(t, a, notice{Command: "Shutdown"}, true)
	hear(t, a, notice{Command: "ProxyDeath"}, true)
	wantEOF(t, a)
	n.Post("one")
	settle(t, b, "still here")
}

func TestProxyInsecure(t *testing.T) {
	n := NewNotifications()
	host := start(t, n.Proxy(false))
	for _, name := range []string{"secret", "", RequestPair, RequestHostBUID} {
		tell(t, host, notice{"ObserveNotification", name}, false)
	}
	tell(t, host, notice{"PostNotification", "secret"}, false)
	settle(t, host, RequestHostBUID)
	n.Post("secret")
	n.Post(RequestPair)
	hear(t, host, notice{"RelayNotification", RequestPair}, false)
}

// TestProxySlowHost posts more than a host that does not read may have pending.
func TestProxySlowHost(t *testing.T) {
	n := NewNotifications()
	host := start(t, n.Proxy(true))
	settle(t, host, "name")
	for range 10 * maxPending {
		n.Post("name")
	}
	for range maxPending {
		hear(t, host, notice{"RelayNotification", "name"}, false)
	}
}

func TestProxyLimits(t *testing.T) {
	n := NewNotifications()
	t.Run("long name", func(t *testing.T) {
		host := start(t, n.Proxy(true))
		tell(t, host, notice{"ObserveNotification", strings.Repeat("x", maxName+1)}, true)
		wantEOF(t, host)
	})
	t.Run("many names", func(t *testing.T) {
		host := start(t, n.Proxy(true))
		for i := range maxNames {
			tell(t, host, notice{"ObserveNotification", fmt.Sprint(i)}, true)
		}
		tell(t, host, notice{"ObserveNotification", "0"}, true) // not a further one
		tell(t, host, notice{"ObserveNotification", "more"}, true)
		wantEOF(t, host)
	})
	t.Run("shutdown of a host that does not read", func(t *testing.T) {
		host := start(t, n.Proxy(true))
		tell(t, host, notice{"ObserveNotification", "x"}, false)
		tell(t, host, notice{"PostNotification", "x"}, false)
		host.SetDeadline(time.Time{})
		tell(t, host, notice{Command: "Shutdown"}, false)
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.observers) != 0 {
		t.Errorf("want no observers left, got %d", len(n.observers))
	}
}
