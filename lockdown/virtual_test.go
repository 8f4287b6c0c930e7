package lockdown_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"gomuxd/lockdown"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

const virtualBUID = "3A5E0C6B-9F1D-4E27-8B60-D1C4A2F7E953"

// plug attaches a virtual phone by a mux session and returns a dialer to it. At
// the end the phone must have counted no violation of the mux protocol.
func plug(t *testing.T, cfg virtualphone.Config) (*virtualphone.Phone, lockdown.DialFunc) {
	t.Helper()
	phone, err := virtualphone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		phone.Close()
		if v := phone.Violations(); v.Total() != 0 {
			t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
		}
	})
	cable, err := phone.Plug()
	if err != nil {
		t.Fatal(err)
	}
	session, err := mux.Open(t.Context(), cable.Pipe(), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return phone, func(ctx context.Context, port uint16) (net.Conn, error) {
		conn, err := session.Dial(ctx, port)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
}

func open(t *testing.T, dial lockdown.DialFunc) *lockdown.Client {
	t.Helper()
	c, err := lockdown.Dial(t.Context(), dial, lockdown.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The whole way with each generation of phone: identity, pairing with the dialog
// where there is one, a session, a service over TLS, the end of trust.
func TestVirtualPhone(t *testing.T) {
	keys := lockdown.SharedKeys()
	for _, tt := range []struct {
		version     string
		dialog, bag bool
	}{
		{"3.1.3", false, false}, {"6.1.3", false, true},
		{"9.3.5", true, true}, {"12.5.7", true, true}, {"17.5", true, true}, {"26.1", true, true},
	} {
		t.Run(tt.version, func(t *testing.T) {
			ctx := t.Context()
			phone, dial := plug(t, virtualphone.Config{ProductVersion: tt.version})
			c := open(t, dial)

			if typ, err := c.QueryType(ctx); err != nil || typ != lockdown.TypeLockdown {
				t.Fatalf("QueryType = %q, %v; want %q", typ, err, lockdown.TypeLockdown)
			}
			id, err := c.Identity(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if id.ProductVersion != tt.version || id.DeviceClass != "iPhone" || id.DeviceName != phone.Name() {
				t.Errorf("Identity = %+v, want %s of an iPhone called %s", id, tt.version, phone.Name())
			}

			rec, err := c.NewRecord(ctx, keys, virtualBUID)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.StartSession(ctx, rec); !errors.Is(err, lockdown.ErrInvalidHostID) {
				t.Fatalf("StartSession unpaired = %v, want ErrInvalidHostID", err)
			}
			if rec = pair(t, c, phone, rec, tt.dialog); len(rec.EscrowBag) > 0 != tt.bag {
				t.Errorf("escrow bag of %d bytes, want one: %v", len(rec.EscrowBag), tt.bag)
			}
			if err := c.ValidatePair(ctx, rec); err != nil {
				t.Errorf("ValidatePair = %v", err)
			}

			c = open(t, dial)
			if err := c.StartSession(ctx, rec); err != nil {
				t.Fatal(err)
			}
			if !c.Secure() {
				t.Error("the session is not secure")
			}
			echo(t, c, tt.bag)
			if err := c.StopSession(ctx); err != nil {
				t.Errorf("StopSession = %v", err)
			}

			c = open(t, dial)
			if err := c.Unpair(ctx, rec); err != nil {
				t.Errorf("Unpair = %v", err)
			}
			if err := c.StartSession(ctx, rec); !errors.Is(err, lockdown.ErrInvalidHostID) {
				t.Errorf("StartSession after Unpair = %v, want ErrInvalidHostID", err)
			}
		})
	}
}

// pair pairs the way the trust flow does: ask, wait for the notification, ask
// again with the same record.
func pair(t *testing.T, c *lockdown.Client, phone *virtualphone.Phone, rec pairrecord.Record, dialog bool) pairrecord.Record {
	t.Helper()
	ctx := t.Context()
	paired, err := c.Pair(ctx, rec, lockdown.PairOptions{})
	if dialog {
		if !errors.Is(err, lockdown.ErrPairingDialogResponsePending) {
			t.Fatalf("Pair = %v, want the pending dialog", err)
		}
		n, err := c.Notifications(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if err := n.Observe(ctx, lockdown.NotifyRequestPair, lockdown.NotifyRequestHostBUID); err != nil {
			t.Fatal(err)
		}
		if err := phone.TapTrust(); err != nil {
			t.Fatal(err)
		}
		// The tap may have been before the observation, so ask without waiting.
		paired, err = c.Pair(ctx, rec, lockdown.PairOptions{})
		if err != nil {
			t.Fatalf("Pair after Trust = %v", err)
		}
		return paired
	}
	if err != nil {
		t.Fatalf("Pair = %v", err)
	}
	return paired
}

// echo sends something through a service started in the session.
func echo(t *testing.T, c *lockdown.Client, escrow bool) {
	t.Helper()
	ctx := t.Context()
	svc, err := c.StartService(ctx, virtualphone.ServiceEcho, escrow)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.DialService(ctx, svc)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := strings.Repeat("over there and back ", 1000)
	go func() { _, _ = io.WriteString(conn, want) }() // ended by the echo or by Close
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("echo = %.40q, %v", got, err)
	}
}

func TestVirtualPhoneDenies(t *testing.T) {
	keys := lockdown.SharedKeys()
	ctx := t.Context()
	phone, dial := plug(t, virtualphone.Config{Passcode: "1234", Locked: true})
	c := open(t, dial)
	rec, err := c.NewRecord(ctx, keys, virtualBUID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pair(ctx, rec, lockdown.PairOptions{}); !errors.Is(err, lockdown.ErrPasswordProtected) {
		t.Errorf("Pair when locked = %v, want ErrPasswordProtected", err)
	}
	if err := phone.Unlock("1234"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pair(ctx, rec, lockdown.PairOptions{}); !errors.Is(err, lockdown.ErrPairingDialogResponsePending) {
		t.Errorf("Pair = %v, want the pending dialog", err)
	}
	if err := phone.TapDontTrust(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pair(ctx, rec, lockdown.PairOptions{}); !errors.Is(err, lockdown.ErrUserDeniedPairing) {
		t.Errorf("Pair after Don't Trust = %v, want ErrUserDeniedPairing", err)
	}
	phone.Unplug()
	if _, err := c.QueryType(ctx); !errors.Is(err, lockdown.ErrConnection) || lockdown.Number(err) != -8 {
		t.Errorf("QueryType after the unplug = %v, want ErrConnection", err)
	}
}

// The request_pair notification comes through a real proxy.
func TestVirtualPhoneNotifies(t *testing.T) {
	keys := lockdown.SharedKeys()
	ctx := t.Context()
	phone, dial := plug(t, virtualphone.Config{})
	c := open(t, dial)
	n, err := c.Notifications(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Observe(ctx, lockdown.NotifyRequestPair); err != nil {
		t.Fatal(err)
	}
	rec, err := c.NewRecord(ctx, keys, virtualBUID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pair(ctx, rec, lockdown.PairOptions{}); !errors.Is(err, lockdown.ErrPairingDialogResponsePending) {
		t.Fatalf("Pair = %v, want the pending dialog", err)
	}
	if err := phone.TapTrust(); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Next(ctx); err != nil || got != lockdown.NotifyRequestPair {
		t.Errorf("Next = %q, %v; want %q", got, err, lockdown.NotifyRequestPair)
	}
	if _, err := c.Pair(ctx, rec, lockdown.PairOptions{}); err != nil {
		t.Errorf("Pair = %v", err)
	}
}

// A record of one phone is not good for a session with another that claims the
// same pairing.
func TestVirtualPhoneOfAnotherKey(t *testing.T) {
	keys := lockdown.SharedKeys()
	ctx := t.Context()
	records := make([]pairrecord.Record, 2)
	clients := make([]*lockdown.Client, 2)
	for i := range records {
		phone, dial := plug(t, virtualphone.Config{OwnKey: true})
		clients[i] = open(t, dial)
		rec, err := clients[i].NewRecord(ctx, keys, virtualBUID)
		if err != nil {
			t.Fatal(err)
		}
		records[i] = pair(t, clients[i], phone, rec, true)
	}
	mixed := records[0]
	mixed.DeviceCertificate = records[1].DeviceCertificate
	if err := clients[0].StartSession(ctx, mixed); !errors.Is(err, lockdown.ErrDeviceKey) {
		t.Errorf("StartSession = %v, want ErrDeviceKey", err)
	}
}
