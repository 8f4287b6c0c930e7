package lockdown

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueryType(t *testing.T) {
	for _, tt := range []struct {
		name, inside, want string
		err                error
	}{
		{name: "normal", inside: "<key>Type</key><string>com.apple.mobile.lockdown</string>", want: TypeLockdown},
		{name: "restore", inside: "<key>Type</key><string>com.apple.mobile.restored</string>", want: "com.apple.mobile.restored"},
		{name: "none", err: ErrProtocol},
		{name: "wrong kind", inside: "<key>Type</key><integer>1</integer>", err: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, func(p *phone) {
				p.expect("QueryType", "<key>Label</key><string>usbmuxd</string>")
				p.reply("QueryType", tt.inside)
			})
			got, err := c.QueryType(t.Context())
			if !errors.Is(err, tt.err) || (err == nil && got != tt.want) {
				t.Fatalf("QueryType = %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestBinaryReplyOverTheWire(t *testing.T) {
	c := connect(t, Config{Label: "muxctl"}, func(p *phone) {
		p.expect("QueryType", "<key>Label</key><string>muxctl</string>")
		p.message(unhex(t, binaryQueryType))
	})
	if got, err := c.QueryType(t.Context()); err != nil || got != TypeLockdown {
		t.Fatalf("QueryType = %q, %v", got, err)
	}
}

func TestValues(t *testing.T) {
	c := connect(t, Config{}, func(p *phone) {
		p.expect("GetValue", "<key>Domain</key><string>com.apple.mobile.wireless_lockdown</string>", "<key>Key</key><string>EnableWifiConnections</string>")
		p.reply("GetValue", "<key>Key</key><string>EnableWifiConnections</string><key>Value</key><true/>")
		if got := p.expect("GetValue", "<key>Key</key><string>DeviceName</string>"); strings.Contains(got, "Domain") {
			t.Errorf("global value asked with a domain: %s", got)
		}
		p.reply("GetValue", "<key>Value</key><string>Anna&#8217;s iPhone</string>")
		p.expect("GetValue")
		p.reply("GetValue", "<key>Value</key><data>AQI=</data>")
		p.expect("GetValue")
		p.reply("GetValue", "<key>Value</key><integer>93</integer>")
		p.expect("GetValue")
		p.reply("GetValue", "") // no value
		p.expect("GetValue")
		p.refuse("GetValue", "GetProhibited")
		p.expect("GetValue")
		p.reply("GetValue", "<key>Value</key><integer>7</integer>")
		p.expect("SetValue", "<key>Key</key><string>UntrustedHostBUID</string>", "<key>Value</key><string>A-B</string>")
		p.reply("SetValue", "")
		p.expect("SetValue", "<key>Domain</key><string>d</string>", "<key>Value</key><true/>")
		p.refuse("SetValue", "SetProhibited")
	})
	ctx := t.Context()
	if got, err := c.Bool(ctx, "com.apple.mobile.wireless_lockdown", "EnableWifiConnections"); err != nil || !got {
		t.Errorf("Bool = %v, %v", got, err)
	}
	if got, err := c.String(ctx, "", "DeviceName"); err != nil || got != "Anna’s iPhone" {
		t.Errorf("String = %q, %v", got, err)
	}
	if got, err := c.Bytes(ctx, "", "x"); err != nil || string(got) != "\x01\x02" {
		t.Errorf("Bytes = %q, %v", got, err)
	}
	var level int64
	if err := c.Value(ctx, "com.apple.mobile.battery", "BatteryCurrentCapacity", &level); err != nil || level != 93 {
		t.Errorf("Value = %d, %v", level, err)
	}
	if _, err := c.String(ctx, "", "x"); !errors.Is(err, ErrMissingValue) {
		t.Errorf("no value = %v, want ErrMissingValue", err)
	}
	if _, err := c.String(ctx, "", "x"); !errors.Is(err, ErrGetProhibited) || err.Error() != "lockdown GetValue x: GetProhibited" {
		t.Errorf("refused value = %v, want ErrGetProhibited", err)
	}
	if _, err := c.String(ctx, "", "Colour"); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "Colour") {
		t.Errorf("wrong kind = %v, want ErrProtocol naming the key", err)
	}
	if err := c.SetValue(ctx, "", "UntrustedHostBUID", "A-B"); err != nil {
		t.Errorf("SetValue = %v", err)
	}
	if err := c.SetValue(ctx, "d", "k", true); !errors.Is(err, ErrSetProhibited) {
		t.Errorf("SetValue = %v, want ErrSetProhibited", err)
	}
}

func TestIdentity(t *testing.T) {
	const all = "<key>DeviceClass</key><string>iPhone</string><key>DeviceName</key><string>Anna</string>" +
		"<key>ProductType</key><string>iPhone15,2</string><key>ProductVersion</key><string>17.5.1</string>" +
		"<key>BuildVersion</key><string>21F90</string><key>UniqueDeviceID</key><string>00008120-0001</string>" +
		"<key>WiFiAddress</key><string>aa:bb:cc:dd:ee:ff</string><key>TelephonyCapability</key><true/>"
	for _, tt := range []struct {
		name   string
		script func(*phone)
		want   Identity
		err    error
	}{
		{
			name: "all at once",
			script: func(p *phone) {
				if got := p.expect("GetValue"); strings.Contains(got, "<key>Key</key>") {
					p.fatalf("asked for one key: %s", got)
				}
				p.reply("GetValue", "<key>Value</key><dict>"+all+"</dict>")
			},
			want: Identity{
				DeviceName: "Anna", DeviceClass: "iPhone", ProductType: "iPhone15,2", ProductVersion: "17.5.1",
				BuildVersion: "21F90", UniqueDeviceID: "00008120-0001", WiFiAddress: "aa:bb:cc:dd:ee:ff",
			},
		},
		{
			name: "one by one",
			script: func(p *phone) {
				p.expect("GetValue")
				p.refuse("GetValue", "GetProhibited")
				p.serveGeneration("iPad", "12.5")
			},
			want: Identity{DeviceClass: "iPad", ProductVersion: "12.5"},
		},
		{
			name: "class only missing",
			script: func(p *phone) {
				p.answer("GetValue", "<key>Value</key><dict><key>ProductVersion</key><string>3.1</string></dict>")
				p.answer("GetValue", "<key>Value</key><string>iPod</string>")
			},
			want: Identity{DeviceClass: "iPod", ProductVersion: "3.1"},
		},
		{
			name: "nothing told",
			script: func(p *phone) {
				for range 3 {
					p.expect("GetValue")
					p.refuse("GetValue", "PasswordProtected")
				}
			},
		},
		{
			name:   "no dictionary",
			script: func(p *phone) { p.answer("GetValue", "<key>Value</key><string>x</string>") },
			err:    ErrProtocol,
		},
		{
			name: "name of the wrong kind",
			script: func(p *phone) {
				p.answer("GetValue", "<key>Value</key><dict><key>DeviceName</key><integer>1</integer></dict>")
			},
			err: ErrProtocol,
		},
		{
			name: "hangs up between",
			script: func(p *phone) {
				p.answer("GetValue", "<key>Value</key><dict/>")
				p.expect("GetValue")
			},
			err: io.ErrUnexpectedEOF,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, tt.script)
			got, err := c.Identity(t.Context())
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Fatalf("Identity = %+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestOlderThan(t *testing.T) {
	for _, tt := range []struct {
		class, version  string
		older4, older10 bool
	}{
		{"iPhone", "3.1.3", true, true},
		{"iPhone", "4.0", false, true},
		{"iPad", "9.3.5", false, true},
		{"iPod", "10.0", false, false},
		{"iPhone", "26.1", false, false},
		{"AppleTV", "8.4", false, true},
		{"Watch", "2.0", false, true},
		{"Watch", "3.0", false, false},
		{"RealityDevice", "1.0", false, false},
		{"AudioAccessory", "11.0", false, false},
		{"", "3.0", false, false},
		{"iPhone", "", false, false},
		{"iPhone", "-3", false, false},
		{"iPhone", "x.y", false, false},
		{"iPhone", "99999999999999999999", false, false},
	} {
		id := Identity{DeviceClass: tt.class, ProductVersion: tt.version}
		if got4, got10 := id.olderThan(4), id.olderThan(10); got4 != tt.older4 || got10 != tt.older10 {
			t.Errorf("%s %s: older than 4, 10 = %v, %v; want %v, %v", tt.class, tt.version, got4, got10, tt.older4, tt.older10)
		}
	}
}

func TestBrokenPeer(t *testing.T) {
	query := func(p *phone) { p.expect("QueryType") }
	for _, tt := range []struct {
		name   string
		script func(*phone)
		want   error
	}{
		{name: "closes at once", script: func(*phone) {}, want: ErrConnection},
		{name: "closes without an answer", script: query, want: io.ErrUnexpectedEOF},
		{name: "closes in the length", script: func(p *phone) { query(p); p.send([]byte{0, 0}) }, want: io.ErrUnexpectedEOF},
		{name: "closes in the message", script: func(p *phone) { query(p); p.send([]byte("\x00\x00\x01\x00<?xml")) }, want: io.ErrUnexpectedEOF},
		{name: "giant length", script: func(p *phone) { query(p); p.send([]byte{0x7f, 0xff, 0xff, 0xff}) }, want: ErrProtocol},
		{name: "empty message", script: func(p *phone) { query(p); p.send(make([]byte, 4)) }, want: ErrProtocol},
		{name: "garbage", script: func(p *phone) { query(p); p.message([]byte("\x16\x03\x01garbage")) }, want: ErrProtocol},
		{name: "another reply", script: func(p *phone) { query(p); p.reply("StartSession", "") }, want: ErrProtocol},
		{name: "endless elements", script: func(p *phone) {
			query(p)
			head := xmlPlist("")
			p.message([]byte(strings.TrimSuffix(string(head), "</plist>") + strings.Repeat("<array>", 50_000)))
		}, want: ErrProtocol},
		{name: "endless text", script: func(p *phone) {
			query(p)
			p.message([]byte("<?xml version=\"1.0\"?><plist><string>" + strings.Repeat("a", MaxMessage-100)))
		}, want: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, tt.script)
			_, err := c.QueryType(t.Context())
			if !errors.Is(err, tt.want) {
				t.Fatalf("QueryType = %v, want %v", err, tt.want)
			}
			if Number(err) == numberUnknown {
				t.Errorf("%v has no number", err)
			}
			_, again := c.QueryType(t.Context())
			if !errors.Is(again, tt.want) {
				t.Errorf("second call = %v, want the first failure %v", again, err)
			}
			if _, werr := c.raw.Write([]byte{0}); !errors.Is(werr, io.ErrClosedPipe) {
				t.Errorf("write to the connection = %v, want it closed", werr)
			}
		})
	}
}

// silent never answers; it reads what comes until the host hangs up.
func silent(p *phone) { _, _ = io.Copy(io.Discard, p.conn) }

func TestSilence(t *testing.T) {
	t.Run("default timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{}, silent)
			start := time.Now()
			_, err := c.QueryType(t.Context())
			if !errors.Is(err, ErrTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || Number(err) != -7 {
				t.Errorf("QueryType = %v, want ErrTimeout", err)
			}
			if got := time.Since(start); got != DefaultTimeout {
				t.Errorf("gave up after %v, want %v", got, DefaultTimeout)
			}
			if _, err := c.QueryType(t.Context()); !errors.Is(err, ErrTimeout) {
				t.Errorf("second call = %v, want ErrTimeout", err)
			}
		})
	})
	t.Run("own timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{Timeout: time.Second}, silent)
			start := time.Now()
			if _, err := c.QueryType(t.Context()); !errors.Is(err, ErrTimeout) || time.Since(start) != time.Second {
				t.Errorf("QueryType = %v after %v, want ErrTimeout after 1s", err, time.Since(start))
			}
		})
	})
	t.Run("deadline of the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{}, silent)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			start := time.Now()
			if _, err := c.QueryType(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
				t.Errorf("QueryType = %v after %v, want DeadlineExceeded after 2s", err, time.Since(start))
			}
		})
	})
	t.Run("cancel", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{}, silent)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(3*time.Second, cancel)
			if _, err := c.QueryType(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("QueryType = %v, want Canceled", err)
			}
		})
	})
	t.Run("drip", func(t *testing.T) { // bytes keep coming, a reply never does
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{}, func(p *phone) {
				p.expect("QueryType")
				p.send([]byte{0x00, 0x10, 0x00, 0x00})
				for {
					if _, err := p.conn.Write([]byte{'<'}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			start := time.Now()
			if _, err := c.QueryType(t.Context()); !errors.Is(err, ErrTimeout) || time.Since(start) != DefaultTimeout {
				t.Errorf("QueryType = %v after %v, want ErrTimeout after %v", err, time.Since(start), DefaultTimeout)
			}
		})
	})
	t.Run("not even read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hold := make(chan struct{})
			c := connect(t, Config{}, func(*phone) { <-hold })
			if _, err := c.QueryType(t.Context()); !errors.Is(err, ErrTimeout) {
				t.Errorf("QueryType = %v, want ErrTimeout", err)
			}
			close(hold)
		})
	})
	t.Run("dial", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := Dial(t.Context(), func(ctx context.Context, port uint16) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}, Config{})
			if !errors.Is(err, ErrTimeout) {
				t.Errorf("Dial = %v, want ErrTimeout", err)
			}
		})
	})
	t.Run("close from another goroutine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, Config{}, silent)
			time.AfterFunc(time.Second, func() { c.Close() })
			if _, err := c.QueryType(t.Context()); !errors.Is(err, ErrConnection) {
				t.Errorf("QueryType = %v, want the closed connection", err)
			}
		})
	})
}

func TestContextEndedBefore(t *testing.T) {
	c := connect(t, Config{}, silent)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.QueryType(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("QueryType = %v, want Canceled", err)
	}
}

// A context that ends while the answer arrives must not poison the connection.
func TestContextEndsWithTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := connect(t, Config{}, func(p *phone) {
		p.answer("QueryType", "<key>Type</key><string>x</string>")
		p.answer("QueryType", "<key>Type</key><string>y</string>")
	})
	err := c.do(ctx, func(conn net.Conn) error {
		frame, err := encodeFrame(map[string]any{"Label": "usbmuxd", "Request": "QueryType"})
		if err != nil {
			return err
		}
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		_, err = readFrame(conn)
		cancel()
		return err
	})
	if err != nil {
		t.Fatalf("answered call = %v", err)
	}
	if got, err := c.QueryType(t.Context()); err != nil || got != "y" {
		t.Errorf("next call = %q, %v; want y", got, err)
	}
}

func TestDialRefused(t *testing.T) {
	_, err := Dial(t.Context(), dialer(t, nil), Config{})
	if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, ErrConnection) {
		t.Errorf("Dial = %v, want the dialer's error", err)
	}
}
