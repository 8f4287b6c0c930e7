package virtualphone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"gomuxd/virtualphone/service"
)

// Garbage is a kind of nonsense that lockdownd may answer a request with.
type Garbage string

// Kinds of nonsense. Where it says nothing else, the connection stays open and the
// next request is answered.
const (
	// GarbageWrongTypes is the proper reply with every value but Request of a type
	// it must not have.
	GarbageWrongTypes Garbage = "wrong-types"
	// GarbageMissingKeys is a reply with Request only. Of a failed request it says
	// nothing of the failure.
	GarbageMissingKeys Garbage = "missing-keys"
	// GarbageHugeLength announces 4 GiB and sends a few bytes.
	GarbageHugeLength Garbage = "huge-length"
	// GarbageEmptyFrame announces no bytes.
	GarbageEmptyFrame Garbage = "empty-frame"
	// GarbageEndlessXML sends frames of service.MaxPlist bytes, XML that opens
	// arrays and closes none, until the connection ends.
	GarbageEndlessXML Garbage = "endless-xml"
	// GarbageNotPlist is a frame with something else than a property list.
	GarbageNotPlist Garbage = "not-a-plist"
	// GarbageTLS is, for StartSession, the proper reply and then nonsense instead
	// of the TLS handshake; other requests get their proper reply only.
	GarbageTLS Garbage = "tls"
	// GarbageHangUp is the first half of the proper reply, then the end of the
	// connection.
	GarbageHangUp Garbage = "hang-up"
)

// GarbageKinds lists all kinds, in the order above.
func GarbageKinds() []Garbage {
	return []Garbage{
		GarbageWrongTypes, GarbageMissingKeys, GarbageHugeLength, GarbageEmptyFrame,
		GarbageEndlessXML, GarbageNotPlist, GarbageTLS, GarbageHangUp,
	}
}

// writeGarbage sends nonsense of a kind in place of a.
func (d *dialogue) writeGarbage(w io.Writer, kind Garbage, a answer, inBinary bool) error {
	switch kind {
	case GarbageWrongTypes:
		return service.WritePlist(w, wrongTypes(a), inBinary)
	case GarbageMissingKeys:
		return service.WritePlist(w, answer{"Request": a["Request"]}, inBinary)
	case GarbageHugeLength:
		return writeAll(w, []byte("\xff\xff\xff\xff<?xml version="))
	case GarbageEmptyFrame:
		return writeAll(w, make([]byte, 4))
	case GarbageEndlessXML:
		return endlessXML(w)
	case GarbageNotPlist:
		const text = "\x00\xfelockdownd: segmentation fault\x00\xff"
		return writeAll(w, append([]byte{0, 0, 0, byte(len(text))}, text...))
	case GarbageHangUp:
		var b bytes.Buffer
		if err := service.WritePlist(&b, a, inBinary); err != nil {
			return err
		}
		d.lastRequest, d.after = true, nil
		return writeAll(w, b.Bytes()[:b.Len()/2])
	case GarbageTLS:
		d.garbageTLS = a["SessionID"] != nil
	}
	return service.WritePlist(w, a, inBinary)
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// wrongTypes is a with other types.
func wrongTypes(a answer) answer {
	wrong := answer{}
	for key, value := range a {
		switch {
		case key == "Request":
			wrong[key] = value
		default:
			wrong[key] = wrongType(value)
		}
	}
	return wrong
}

func wrongType(v any) any {
	switch v := v.(type) {
	case string:
		return uint64(len(v))
	case bool:
		return "yes"
	case []byte:
		return true
	case map[string]any:
		return "a dictionary"
	}
	return []any{v, map[string]any{"Value": v}}
}

// endlessXML returns with the error that ends it.
func endlessXML(w io.Writer) error {
	const head = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0">`
	const part = "<array>"
	many := []byte(strings.Repeat(part, 1024))
	for {
		b := binary.BigEndian.AppendUint32(nil, service.MaxPlist)
		b = append(b, head...)
		if err := writeAll(w, b); err != nil {
			return err
		}
		for left := service.MaxPlist - len(head); left > 0; {
			n := min(left, len(many))
			if err := writeAll(w, many[:n]); err != nil {
				return err
			}
			left -= n
		}
	}
}

// garbageHandshake answers a TLS hello with what is no TLS and waits for the host
// to hang up.
func (d *dialogue) garbageHandshake() error {
	if _, err := d.plain.Peek(1); err != nil {
		return err
	}
	if err := writeAll(d.raw, []byte(strings.Repeat("\x07no such cipher ", 32))); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, d.plain); err != nil {
		return err
	}
	return errors.New("answered a hello with nonsense")
}
