package lockdown

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func relay(name string) []byte {
	return xmlDict("<key>Command</key><string>RelayNotification</string><key>Name</key><string>" + name + "</string>")
}

// observed reads one ObserveNotification.
func (p *phone) observed(name string) {
	p.t.Helper()
	want := string(compact(xmlDict("<key>Command</key><string>ObserveNotification</string><key>Name</key><string>" + name + "</string>")))
	if got := p.read(); got != want {
		p.fatalf("got %s, want %s", got, want)
	}
}

func TestNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectTo(t, Config{}, map[uint16]func(*phone){
			Port: func(p *phone) {
				p.expect("StartService", "<string>com.apple.mobile.insecure_notification_proxy</string>")
				p.reply("StartService", "<key>Port</key><integer>50001</integer>")
			},
			50001: func(p *phone) {
				p.observed("com.apple.mobile.lockdown.request_pair")
				p.observed("com.apple.mobile.lockdown.request_host_buid")
				p.message(xmlDict("<key>Command</key><string>SomethingNew</string>"))
				p.message(relay(NotifyRequestHostBUID))
				time.Sleep(time.Hour) // the user takes their time
				p.message(relay(NotifyRequestPair))
				p.message(xmlDict("<key>Command</key><string>ProxyDeath</string>"))
				silent(p)
			},
		})
		ctx := t.Context()
		n, err := c.Notifications(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		c.Close() // the notifier does not need it
		if err := n.Observe(ctx, NotifyRequestPair, NotifyRequestHostBUID); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{NotifyRequestHostBUID, NotifyRequestPair} {
			if got, err := n.Next(ctx); err != nil || got != want {
				t.Errorf("Next = %q, %v; want %q", got, err, want)
			}
		}
		for range 2 {
			if _, err := n.Next(ctx); !errors.Is(err, ErrProxyDeath) {
				t.Errorf("Next = %v, want ErrProxyDeath", err)
			}
		}
	})
}

func TestNotificationsRefused(t *testing.T) {
	c := connect(t, Config{}, func(p *phone) {
		p.expect("StartService")
		p.refuse("StartService", "PasswordProtected")
		p.expect("StartService")
		p.reply("StartService", "<key>Port</key><integer>50001</integer>")
	})
	if _, err := c.Notifications(t.Context()); !errors.Is(err, ErrPasswordProtected) {
		t.Errorf("Notifications = %v, want ErrPasswordProtected", err)
	}
	if _, err := c.Notifications(t.Context()); !errors.Is(err, ErrConnection) {
		t.Errorf("Notifications = %v, want ErrConnection", err)
	}
}

func TestNotifierEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(*phone)
		want   error
	}{
		{"hangs up", func(p *phone) {}, ErrConnection},
		{"hangs up in a message", func(p *phone) { p.send([]byte("\x00\x00\x01\x00<?")) }, io.ErrUnexpectedEOF},
		{"garbage", func(p *phone) { p.message([]byte("garbage")) }, ErrProtocol},
		{"giant length", func(p *phone) { p.send([]byte{0xff, 0xff, 0xff, 0xff}) }, ErrProtocol},
		{"command of the wrong kind", func(p *phone) { p.message(xmlDict("<key>Command</key><true/>")) }, ErrProtocol},
		{"name of the wrong kind", func(p *phone) {
			p.message(xmlDict("<key>Command</key><string>RelayNotification</string><key>Name</key><true/>"))
		}, ErrProtocol},
		{"cancelled", silent, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				conn, err := dialer(t, map[uint16]func(*phone){50001: tt.script})(ctx, 50001)
				if err != nil {
					t.Fatal(err)
				}
				n := NewNotifier(conn, Config{})
				defer n.Close()
				if _, err := n.Next(ctx); !errors.Is(err, tt.want) {
					t.Errorf("Next = %v, want %v", err, tt.want)
				}
				if err := n.Observe(t.Context(), "x"); !errors.Is(err, tt.want) {
					t.Errorf("Observe afterwards = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestObserveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		conn, err := dialer(t, map[uint16]func(*phone){50001: func(*phone) { <-hold }})(t.Context(), 50001)
		if err != nil {
			t.Fatal(err)
		}
		n := NewNotifier(conn, Config{})
		if err := n.Observe(t.Context(), NotifyRequestPair); !errors.Is(err, ErrTimeout) {
			t.Errorf("Observe = %v, want ErrTimeout", err)
		}
		close(hold)
	})
}
