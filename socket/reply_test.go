package socket

import (
	"bytes"
	"strings"
	"testing"

	"gomuxd/plist"
)

// Sizes seen in logs of usbmuxd and its clients.
func TestReplySizes(t *testing.T) {
	reg := NewRegistry()
	list, err := reg.deviceList(func(*entry) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	buid, err := plist.MarshalXML(buidReply{"30142955-4440-9437-9208-051516ABCDEF"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		got  []byte
		want int
	}{
		{"Result 0", appendResult(nil, versionPlist, 1, 0), headerSize + 278},
		{"Detached 1", detachedEvent(1, USB).plist, headerSize + 282},
		{"empty DeviceList", list, 221},
		{"BUID", buid, 260},
		{"binary Result", appendResult(nil, versionBinary, 1, 0), 20},
		{"binary record", appendRecord(nil, 1, usbInfo()), 284},
	} {
		if len(tt.got) != tt.want {
			t.Errorf("%s: %d bytes, want %d:\n%s", tt.name, len(tt.got), tt.want, tt.got)
		}
	}
}

// The assembled messages are what the encoder would write.
func TestAssembledMessages(t *testing.T) {
	for _, n := range []uint32{0, 1, 2, 3, 6, 22, 110, 1<<31 - 1} {
		for head, v := range map[string]any{
			xmlResult: struct {
				MessageType string
				Number      uint32
			}{"Result", n},
			xmlDetached: struct {
				MessageType string
				DeviceID    uint32
			}{"Detached", n},
			xmlPaired: struct {
				MessageType string
				DeviceID    uint32
			}{"Paired", n},
		} {
			payload, err := plist.MarshalXML(v)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := appendNumber(nil, head, 9, n), appendPlist(nil, 9, payload); !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
	}
}

func TestAttachedBytes(t *testing.T) {
	e, err := attachedEvent(1, usbInfo())
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>MessageType</key>
	<string>Attached</string>
	<key>DeviceID</key>
	<integer>1</integer>
	<key>Properties</key>
	<dict>
		<key>ConnectionSpeed</key>
		<integer>480000000</integer>
		<key>ConnectionType</key>
		<string>USB</string>
		<key>DeviceID</key>
		<integer>1</integer>
		<key>LocationID</key>
		<integer>65540</integer>
		<key>ProductID</key>
		<integer>4776</integer>
		<key>SerialNumber</key>
		<string>00008110-001C20223E29401E</string>
		<key>UDID</key>
		<string>00008110-001C20223E29401E</string>
		<key>USBSerialNumber</key>
		<string>00008110001C20223E29401E</string>
	</dict>
</dict>
</plist>
`
	if got := string(e.plist[headerSize:]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if h := decodeHeader((*[headerSize]byte)(e.plist)); h != (header{uint32(len(want)) + 16, 1, 8, 0}) {
		t.Errorf("header %+v", h)
	}
}

func TestListenerListKeys(t *testing.T) {
	b, err := plist.MarshalXML(listenerListReply{[]listenerEntry{{BundleID: "b", IDString: "3-p", ProgName: "p", KLibUSBMuxVersion: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, line := range strings.Split(string(b), "\n") {
		if _, rest, ok := strings.Cut(line, "\t\t\t<key>"); ok {
			keys = append(keys, strings.TrimSuffix(rest, "</key>"))
		}
	}
	want := "Blacklisted,BundleID,ConnType,ID String,ProgName,kLibUSBMuxVersion"
	if got := strings.Join(keys, ","); got != want {
		t.Errorf("keys %s, want %s:\n%s", got, want, b)
	}
}

// Bytes as usbmuxd's clients send and get them.
func TestWireVectors(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	r.attach(d)
	for _, tt := range []struct{ name, send, want string }{
		{"binary Listen", "10000000 00000000 03000000 01000000", "14000000 00000000 01000000 01000000 00000000 1c010000 00000000 04000000 00000000 01000000 a812"},
		{"binary Connect", "18000000 00000000 02000000 02000000 01000000 F27E 0000", "14000000 00000000 01000000 02000000 00000000"},
		{"binary Connect, no such device", "18000000 00000000 02000000 02000000 02000000 F27E 0000", "14000000 00000000 01000000 02000000 02000000"},
		{"version 7", "10000000 07000000 01000000 09000000", "14000000 00000000 01000000 09000000 06000000"},
		{"property-list Result", "10000000 01000000 08000000 05000000", "26010000 01000000 08000000 05000000 3c3f786d6c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := r.dial()
			h.write(unhex(t, tt.send))
			h.bytes(tt.want)
		})
	}
}
