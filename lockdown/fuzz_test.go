package lockdown

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime/metrics"
	"testing"
)

// frames puts each message behind its length.
func frames(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return b
}

// allocated is how much has been allocated so far, in bytes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzReply feeds the bytes a phone sends to all that reads them: as a stream of
// messages, and as one message, so that the fuzzer need not keep lengths right.
// Whatever comes is an error of ours or a reply to the request; it costs memory in
// proportion to its size, and nothing beyond a message is taken from the stream.
func FuzzReply(f *testing.F) {
	request := "<key>Request</key><string>GetValue</string>"
	for _, seed := range [][]byte{
		frames(unhex(f, binaryQueryType)),
		frames(xmlDict(request+"<key>Value</key><string>x</string>"), xmlDict("")),
		frames(xmlDict(request + "<key>Result</key><string>Failure</string><key>Error</key><string>PasswordProtected</string>")),
		frames(xmlDict(request + "<key>Error</key><string>MCChallengeRequired</string><key>ExtendedResponse</key><dict><key>PairingChallenge</key><data>AAAA</data></dict>")),
		frames(xmlDict(request + "<key>Port</key><integer>70000</integer><key>EnableServiceSSL</key><true/><key>SessionID</key><string>x</string>")),
		frames(xmlDict(request + "<key>Value</key><dict><key>a</key><array><integer>-1</integer><real>1.5</real><date>2024-01-01T00:00:00Z</date></array></dict>")),
		frames(relay(NotifyRequestPair)),
		frames(xmlDict("<key>Command</key><string>ProxyDeath</string>")),
		{0xff, 0xff, 0xff, 0xff},
		{0x00, 0x10, 0x00, 0x00, '<'},
	} {
		f.Add(seed)
		f.Add(seed[min(headerLen, len(seed)):])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := allocated()
		fuzzReply(t, in)
		fuzzNotification(t, in)
		r := bytes.NewReader(in)
		for {
			left := r.Len()
			frame, err := readFrame(r)
			if err != nil {
				if !errors.Is(err, ErrProtocol) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("readFrame = %v", err)
				}
				break
			}
			if took := left - r.Len(); took != headerLen+len(frame) || len(frame) == 0 || len(frame) > MaxMessage {
				t.Fatalf("readFrame took %d bytes for a message of %d", took, len(frame))
			}
			fuzzReply(t, frame)
			fuzzNotification(t, frame)
		}
		// 64 MiB are the allowance for what one message may be worth.
		if cost, limit := allocated()-before, uint64(64<<20+512*len(in)); cost > limit {
			t.Fatalf("%d bytes of input cost %d bytes of memory, limit %d", len(in), cost, limit)
		}
	})
}

func fuzzReply(t *testing.T, frame []byte) {
	for _, request := range []string{"GetValue", "Pair"} {
		err := checkReply(request, frame)
		if err != nil && len(err.Error()) > 1024 {
			t.Fatalf("error text of %d bytes", len(err.Error()))
		}
		var refused *Error
		switch {
		case err == nil:
		case errors.As(err, &refused):
			if refused.Name == "" || refused.Request != request {
				t.Fatalf("refusal %+v", refused)
			}
		case !errors.Is(err, ErrProtocol):
			t.Fatalf("checkReply = %v, want ErrProtocol", err)
		}
	}
	var (
		reply struct {
			Port  uint16         `plist:"Port"`
			TLS   bool           `plist:"EnableServiceSSL"`
			Bag   []byte         `plist:"EscrowBag"`
			Value map[string]any `plist:"Value"`
		}
		id Identity
	)
	if err := decode(frame, &reply); err != nil && !errors.Is(err, ErrProtocol) {
		t.Fatalf("decode = %v, want ErrProtocol", err)
	}
	for _, to := range []any{&id, new(any), new(string), new([]byte), new(bool), new(int8), new([]int64)} {
		if found, err := decodeValue(frame, to); err != nil && (found || !errors.Is(err, ErrProtocol)) {
			t.Fatalf("decodeValue into %T = %v, %v; want ErrProtocol", to, found, err)
		}
	}
}

func fuzzNotification(t *testing.T, frame []byte) {
	name, err := decodeNotification(frame)
	if err != nil && (name != "" || !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrProxyDeath)) {
		t.Fatalf("decodeNotification = %q, %v", name, err)
	}
}
