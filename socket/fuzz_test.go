package socket

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"gomuxd/plist"
)

func FuzzHeader(f *testing.F) {
	f.Add(unhex(f, "10000000 00000000 03000000 01000000"))
	f.Add(unhex(f, "26010000 01000000 08000000 05000000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < headerSize {
			return
		}
		h := decodeHeader((*[headerSize]byte)(in))
		if out := h.append(nil); !bytes.Equal(out, in[:headerSize]) {
			t.Fatalf("%x became %x", in[:headerSize], out)
		}
		payload := in[headerSize:]
		r := decodeBinaryRequest(h.message, payload)
		if r.verb == cmdConnect && len(payload) < connectSize {
			t.Fatalf("a Connect out of %d bytes", len(payload))
		}
		if h.sane() != (h.length-headerSize <= maxMessage-headerSize) {
			t.Fatalf("sane(%d) = %v", h.length, h.sane())
		}
	})
}

func FuzzPlistRequest(f *testing.F) {
	for _, m := range [][]byte{
		ask(1, "Listen"), askConnect(1, 3, 62078), ask(1, "ReadPairRecord", str("PairRecordID", udid24)),
		ask(1, "SavePairRecord", str("PairRecordID", udid24), data("PairRecordData", document(recordXML))),
		ask(1, "Connect", str("DeviceID", "1"), num("PortNumber", 0), num("PortNumber", 32498)),
		message(1, num("MessageType", 1)), message(1, str("MessageType", "Listen")+num("ProgName", 1)+str("BundleID", "b")),
	} {
		f.Add(m[headerSize:])
		var v any
		if plist.Unmarshal(m[headerSize:], &v) == nil {
			if b, err := plist.MarshalBinary(v); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		orig := bytes.Clone(in)
		slow, ok := decodeAnyRequest(in)
		if !bytes.Equal(orig, in) {
			t.Fatal("the input was changed")
		}
		if fast, taken := scanRequest(in); taken && (!ok || !reflect.DeepEqual(fast, slow)) {
			t.Fatalf("the scan gives %+v, the decoder %+v (%v)", fast, slow, ok)
		}
		if len(slow.identity.progName) > 4*maxName || len(slow.identity.bundleID) > 4*maxName {
			t.Fatalf("names of %d and %d bytes are kept", len(slow.identity.progName), len(slow.identity.bundleID))
		}
		// What others are shown of it must be readable.
		list, err := plist.MarshalXML(listenerListReply{[]listenerEntry{{BundleID: slow.identity.bundleID, ProgName: slow.identity.progName}}})
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := plist.Unmarshal(list, &back); err != nil {
			t.Fatalf("%v in %q", err, list)
		}
	})
}

// refusing is a device that no port of which accepts.
type refusing struct{}

func (refusing) Dial(context.Context, uint16) (Conn, error) { return nil, errPhoneReset }

// FuzzClientInput feeds foreign bytes to a client's handler. Every complete
// message is answered, with its own tag, until a listener or a bad length ends
// the conversation.
func FuzzClientInput(f *testing.F) {
	f.Add(ask(1, "ListDevices"), uint8(7))
	f.Add(bytes.Join([][]byte{ask(1, "ReadBUID"), ask(2, "Listen"), ask(3, "Listen")}, nil), uint8(100))
	f.Add(bytes.Join([][]byte{askConnect(1, 1, 1), askConnect(2, 9, 1), ask(3, "ListListeners")}, nil), uint8(0))
	f.Add(bytes.Join([][]byte{
		unhex(f, "10000000 07000000 08000000 09000000"), unhex(f, "18000000 00000000 02000000 02000000 01000000 F27E 0000"),
		unhex(f, "10000000 00000000 03000000 01000000"), unhex(f, "0f000000 00000000 03000000 07000000"),
	}, nil), uint8(1))
	f.Add(ask(1, "SavePairRecord", str("PairRecordID", udid24), data("PairRecordData", document(recordXML))), uint8(255))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		reg := NewRegistry()
		if _, err := reg.Attach(usbInfo(), refusing{}); err != nil {
			t.Fatal(err)
		}
		srv := NewServer(reg, Config{Records: newMemRecords()})
		defer srv.Close()
		mine, theirs := net.Pipe()
		defer mine.Close()
		by := time.Now().Add(patience)
		_ = mine.SetDeadline(by)
		srv.start(theirs, nil)

		fed := make(chan struct{})
		go func() { // in pieces of step bytes
			defer close(fed)
			for rest := in; len(rest) > 0; {
				n := min(len(rest), int(step)+1)
				if _, err := mine.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		listening := false
		for rest := in; len(rest) >= headerSize; {
			h := decodeHeader((*[headerSize]byte)(rest))
			if h.sane() && int(h.length) > len(rest) {
				break
			}
			for events := 0; ; {
				got, err := readReply(mine)
				if err != nil {
					t.Fatalf("no answer to %+v: %v", h, err)
				}
				if isAttached(got) {
					if events++; events > 1 || !listening {
						t.Fatal("the device was announced twice, or to one who did not ask")
					}
					continue
				}
				if got.tag != h.tag {
					t.Fatalf("the answer to %+v is %+v", h, got.header)
				}
				break
			}
			if !h.sane() || listening { // a mistake that ends the conversation
				if _, err := mine.Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("after %+v: %v, want EOF", h, err)
				}
				break
			}
			listening = isListen(h, rest[headerSize:h.length])
			rest = rest[h.length:]
		}
		mine.Close()
		<-fed
	})
}

func readReply(r io.Reader) (reply, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return reply{}, err
	}
	m := reply{header: decodeHeader(&b), payload: make([]byte, binary.LittleEndian.Uint32(b[:])-headerSize)}
	_, err := io.ReadFull(r, m.payload)
	return m, err
}

// isAttached tells the event from a reply.
func isAttached(m reply) bool {
	head := append([]byte(nil), xmlHead+"Attached<"...)
	return m.tag == 0 && (m.message == msgAttached || bytes.HasPrefix(m.payload, head))
}

// isListen reports whether a request is a Listen that succeeds.
func isListen(h header, payload []byte) bool {
	if h.version > versionPlist {
		return false
	}
	if h.message != msgPlist {
		return h.message == msgListen
	}
	r, ok := decodeAnyRequest(payload)
	return ok && r.verb == cmdListen
}

func (r *Registry) listening() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.listeners)
}
