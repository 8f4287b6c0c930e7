package lockdown

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"gomuxd/pairrecord"
)

// replay is a phone that answers each message with the next one of a list, whatever
// it was asked, and hangs up after the last. What follows a TLS hello is not framed.
type replay struct {
	messages [][]byte
	out      bytes.Buffer
}

func (c *replay) Write(b []byte) (int, error) {
	if len(c.messages) == 0 {
		return len(b), nil
	}
	m := c.messages[0]
	c.messages = c.messages[1:]
	if !bytes.HasPrefix(b, []byte{0x16, 0x03}) {
		c.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(m))))
	}
	c.out.Write(m)
	return len(b), nil
}

func (c *replay) Read(b []byte) (int, error)       { return c.out.Read(b) }
func (c *replay) Close() error                     { return nil }
func (c *replay) LocalAddr() net.Addr              { return nil }
func (c *replay) RemoteAddr() net.Addr             { return nil }
func (c *replay) SetDeadline(time.Time) error      { return nil }
func (c *replay) SetReadDeadline(time.Time) error  { return nil }
func (c *replay) SetWriteDeadline(time.Time) error { return nil }

// separator parts the messages of a fuzz input. It is no character of XML.
const separator = "\x1e"

// FuzzDialogue goes through all that a host asks a phone, which answers with foreign
// bytes. Every failure is one that callers know, the first that is no refusal stays,
// and the phone cannot change the record that it is asked to pair.
func FuzzDialogue(f *testing.F) {
	reply := func(request, inside string) []byte {
		return xmlDict("<key>Request</key><string>" + request + "</string>" + inside)
	}
	value := func(inside string) []byte { return reply("GetValue", "<key>Value</key>"+inside) }
	good := [][]byte{
		reply("QueryType", "<key>Type</key><string>"+TypeLockdown+"</string>"),
		value("<dict><key>ProductVersion</key><string>17.5</string><key>DeviceClass</key><string>iPhone</string></dict>"),
		value("<true/>"),
		reply("SetValue", ""),
		value(data(devicePEM(&deviceKey().PublicKey))),
		value("<string>aa:bb:cc:dd:ee:ff</string>"),
		reply("Pair", "<key>EscrowBag</key>"+data([]byte("bag"))),
		reply("ValidatePair", ""),
		reply("StartService", "<key>Port</key><integer>50000</integer>"),
		reply("StartSession", "<key>SessionID</key><string>S</string><key>EnableSessionSSL</key><true/>"),
		{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28}, // a TLS alert
	}
	f.Add(bytes.Join(good, []byte(separator)))
	for i := range good {
		bad := append([][]byte{}, good...)
		bad[i] = reply("GetValue", "<key>Error</key><string>PasswordProtected</string>")
		f.Add(bytes.Join(bad, []byte(separator)))
		bad[i] = []byte("bplist00")
		f.Add(bytes.Join(bad[:i+1], []byte(separator)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx := context.Background()
		phone := &replay{messages: bytes.Split(in, []byte(separator))}
		c, err := Dial(ctx, func(context.Context, uint16) (net.Conn, error) { return phone, nil }, Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var rec pairrecord.Record
		for _, step := range []func() error{
			func() error { _, err := c.QueryType(ctx); return err },
			func() error { _, err := c.Identity(ctx); return err },
			func() error { _, err := c.Bool(ctx, "", "PasswordProtected"); return err },
			func() error { return c.SetValue(ctx, "", "UntrustedHostBUID", testBUID) },
			func() (err error) { rec, err = c.NewRecord(ctx, hostKeys(), testBUID); return err },
			func() error {
				made, err := c.Pair(ctx, rec, PairOptions{})
				made.EscrowBag = nil
				if err == nil && !equalRecords(made, rec) {
					t.Fatal("the phone has changed the record")
				}
				return err
			},
			func() error { return c.ValidatePair(ctx, rec) },
			func() error { _, err := c.StartService(ctx, ServiceInsecureNotify, false); return err },
			func() error { return c.StartSession(ctx, rec) },
			func() error { _, err := c.QueryType(ctx); return err },
		} {
			failed := c.failed
			err := step()
			if err == nil {
				continue
			}
			if len(err.Error()) > 2048 {
				t.Fatalf("error text of %d bytes", len(err.Error()))
			}
			if !isRefusal(err) && Number(err) == numberUnknown {
				t.Fatalf("an error that callers do not know: %v", err)
			}
			if failed != nil && !errors.Is(err, failed) && !errors.Is(err, ErrRecord) {
				t.Fatalf("after %v came %v", failed, err)
			}
		}
		if c.Secure() {
			t.Fatal("a TLS session with a phone that has no key")
		}
	})
}

func equalRecords(a, b pairrecord.Record) bool {
	x, errA := a.Marshal()
	y, errB := b.Marshal()
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
