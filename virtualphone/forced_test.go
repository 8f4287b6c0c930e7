package virtualphone

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/plist"
	"gomuxd/virtualphone/service"
)

func TestSilentLockdown(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, p *Phone, h *muxHost) {
		l := lockdownOf(h)
		c := l.computer("H", "B")
		silent := func(name string) {
			t.Helper()
			before := p.Stats().PayloadSent
			must(t, service.WritePlist(l.c, map[string]any{"Request": name, "PairRecord": c.record}, false))
			time.Sleep(time.Hour)
			if s := p.Stats(); s.PayloadSent != before || s.OpenConns != 1 {
				t.Fatalf("%s answered %d bytes, %d connections left", name, s.PayloadSent-before, s.OpenConns)
			}
		}
		p.SilenceNext("Pair")
		p.FailNext("Pair", "FMiPProtected")
		silent("Pair")
		if s := p.State(); s.Dialog != NoDialog {
			t.Error("a request that is not heard raised a dialog")
		}
		l.want("QueryType", nil, "")
		l.pair(c, "FMiPProtected")
		l.pair(c, "PairingDialogResponsePending")

		p.SilenceAlways("QueryType")
		silent("QueryType")
		silent("QueryType")
		p.SilenceAlways(AnyRequest)
		silent("GetValue")
		p.FailNext("GetValue", "Queued")
		l.want("GetValue", nil, "Queued")
		p.Heal("QueryType")
		silent("QueryType") // as any other
		p.Heal(AnyRequest)
		l.want("QueryType", nil, "")
		if n := p.Stats().PairRequests; n != 3 {
			t.Errorf("%d Pair requests, want 3", n)
		}
	})
}

func TestGarbage(t *testing.T) {
	request := map[string]any{"Request": "GetValue", "Key": "ProductVersion"}
	length := func(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
	for _, tt := range []struct {
		kind  Garbage
		read  int // bytes to look at, 0 = a frame
		check func(b []byte) bool
		ends  bool // the connection does
	}{
		{GarbageWrongTypes, 0, func(b []byte) bool {
			var m map[string]any
			return plist.Unmarshal(b[4:], &m) == nil && m["Request"] == "GetValue" && m["Value"] == uint64(len("17.5")) && m["Key"] == uint64(len("ProductVersion"))
		}, false},
		{GarbageMissingKeys, 0, func(b []byte) bool {
			var m map[string]any
			return plist.Unmarshal(b[4:], &m) == nil && len(m) == 1 && m["Request"] == "GetValue"
		}, false},
		{GarbageHugeLength, 18, func(b []byte) bool { return length(b) == 1<<32-1 }, false},
		{GarbageEmptyFrame, 4, func(b []byte) bool { return length(b) == 0 }, false},
		{GarbageEndlessXML, 4 << 20, func(b []byte) bool {
			var m map[string]any
			return length(b) == 1<<20 && length(b[4+1<<20:]) == 1<<20 && plist.Unmarshal(b[4:4+1<<20], &m) != nil
		}, true},
		{GarbageNotPlist, 0, func(b []byte) bool {
			var m map[string]any
			return len(b) > 4 && plist.Unmarshal(b[4:], &m) != nil
		}, false},
		{GarbageTLS, 0, func(b []byte) bool { return bytes.Contains(b, []byte("<string>17.5</string>")) }, false},
		{GarbageHangUp, 0, func(b []byte) bool { return len(b) > 4 && len(b) < int(length(b)) }, true},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			p := newPhone(t, Config{})
			l := lockdownOf(dialPhone(t, plug(t, p)))
			p.GarbageNext("GetValue", tt.kind)
			must(t, service.WritePlist(l.c, request, false))
			var b []byte
			var err error
			if tt.read == 0 {
				b = make([]byte, 4)
				if _, err = io.ReadFull(l.c, b); err == nil {
					b = append(b, make([]byte, length(b))...)
					var n int
					n, err = io.ReadFull(l.c, b[4:])
					b = b[:4+n]
				}
			} else {
				b = make([]byte, tt.read)
				_, err = io.ReadFull(l.c, b)
			}
			if (err != nil) != (tt.kind == GarbageHangUp) || !tt.check(b) {
				t.Errorf("got %.200q, %v", b, err)
			}
			if !tt.ends {
				if v := l.value("", "ProductVersion"); v != "17.5" {
					t.Errorf("after it: %v", v)
				}
			}
			l.c.Close()
			clean(t, p)
		})
	}
	if n := len(GarbageKinds()); n != 8 {
		t.Errorf("%d kinds, this test knows 8", n)
	}
}

// TestHangUpAfterTrust: what is answered by garbage is carried out, so a phone may
// trust a host that does not know it.
func TestHangUpAfterTrust(t *testing.T) {
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	c := l.computer("H", "B")
	l.pair(c, "PairingDialogResponsePending")
	must(t, p.TapTrust())
	p.GarbageAlways("Pair", GarbageHangUp)
	if a, err := l.try(map[string]any{"Request": "Pair", "PairRecord": c.record}); err == nil {
		t.Errorf("a whole answer: %v", a)
	}
	if hosts := p.State().Hosts; len(hosts) != 1 {
		t.Errorf("hosts %v", hosts)
	}
	p.Heal("Pair")
	l = lockdownOf(h)
	l.pair(c, "")
}

// TestOnRequest: a request is told when it comes, while it can still be made to
// fail, and when it has been carried out.
func TestOnRequest(t *testing.T) {
	p := newPhone(t, Config{})
	l := lockdownOf(dialPhone(t, plug(t, p)))
	c := l.computer("H", "B")
	told := make(chan string, 4)
	p.OnRequest(func(request string, done bool) {
		told <- fmt.Sprint(request, " ", done)
		switch {
		case request == "GetValue" && !done:
			p.FailNext("GetValue", "ServiceLimit")
		case request == "Pair" && done:
			p.Unplug()
		}
	})
	l.want("GetValue", nil, "ServiceLimit")
	if a, err := l.try(map[string]any{"Request": "Pair", "PairRecord": c.record}); err == nil {
		t.Errorf("an answer over a pulled cable: %v", a)
	}
	for _, want := range []string{"GetValue false", "GetValue true", "Pair false", "Pair true"} {
		if got := <-told; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestRefusedTLS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ios    string
		refuse func(*Phone)
		heal   func(*Phone)
		want   string // of the host's error
	}{
		{name: "abort", refuse: func(p *Phone) { p.RefuseTLS(AbortTLS) }, want: "EOF"},
		{name: "abort, old", ios: "9.3", refuse: func(p *Phone) { p.RefuseTLS(AbortTLS) }, want: "EOF"},
		{name: "certificate", refuse: func(p *Phone) { p.RefuseTLS(RefuseCertificate) }, want: "bad certificate"},
		{name: "certificate, old", ios: "9.3", refuse: func(p *Phone) { p.RefuseTLS(RefuseCertificate) }, want: "bad certificate"},
		{name: "garbage", refuse: func(p *Phone) { p.GarbageNext("StartSession", GarbageTLS) }, want: "does not look like a TLS handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, h, c := paired(t, Config{ProductVersion: tt.ios})
			session := lockdownOf(h)
			session.start(c, c.cert)
			session.value("", "DeviceName") // the phone has checked the certificate by then
			tt.refuse(p)
			l := lockdownOf(h)
			l.want("StartSession", map[string]any{"HostID": c.id()}, "")
			s := tls.Client(l.raw, clientTLS(c.cert))
			err := s.Handshake()
			if err == nil {
				_, err = s.Read(make([]byte, 1)) // TLS 1.3 tells a client only afterwards
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("handshake: %v, want %q", err, tt.want)
			}
			s.Close()
			// The session that runs goes on, its services are refused, too.
			a := session.want("StartService", map[string]any{"Service": ServiceEcho}, "")
			if tt.name != "garbage" {
				s = tls.Client(h.mustDial(uint16(a["Port"].(uint64))), clientTLS(c.cert))
				if err = s.Handshake(); err == nil {
					_, err = s.Read(make([]byte, 1))
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("handshake of a service: %v, want %q", err, tt.want)
				}
				s.Close()
			}
			p.RefuseTLS(AcceptTLS)
			lockdownOf(h).start(c, c.cert)
			clean(t, p)
		})
	}
}

// TestGarbageEndsWithPlug: endless answers end with the cable.
func TestGarbageEndsWithPlug(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, p *Phone, h *muxHost) {
		l := lockdownOf(h)
		p.GarbageNext("QueryType", GarbageEndlessXML)
		must(t, service.WritePlist(l.c, map[string]any{"Request": "QueryType"}, false))
		synctest.Wait() // it fills the window
		p.Unplug()
	})
}
