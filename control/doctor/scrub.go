package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"gomuxd/control/redact"
)

// WriteReport writes facts and report for a bug report. UDIDs, serial numbers,
// network addresses, host ids, names of phones and persons and home directories
// are replaced by tokens, the same thing always by the same token.
func WriteReport(w io.Writer, f Facts, r Report) error {
	secrets := newRedactor(&f)
	cleanFacts, err := scrub(secrets, f)
	if err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	cleanReport, err := scrub(secrets, r)
	if err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	if _, err := io.WriteString(w, "Report of muxctl doctor. UDIDs, serial numbers, addresses, host ids and names are replaced by tokens such as <udid-1>.\n\n"); err != nil {
		return err
	}
	if err := Render(w, cleanReport, Style{Width: 100}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\nFacts:\n"); err != nil {
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // tokens have angle brackets
	enc.SetIndent("", "  ")
	if err := enc.Encode(cleanFacts); err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	_, err = io.WriteString(w, visible(b.String()))
	return err
}

// visible escapes in JSON what JSON allows and terminals should not get.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// scrub returns a copy of v in which every text is scrubbed.
func scrub[T any](r *redact.Redactor, v T) (T, error) {
	var clean T
	b, err := json.Marshal(v)
	if err != nil {
		return clean, err
	}
	var tree any
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return clean, err
	}
	if b, err = json.Marshal(walk(r, tree)); err != nil {
		return clean, err
	}
	err = json.Unmarshal(b, &clean)
	return clean, err
}

func walk(r *redact.Redactor, v any) any {
	switch v := v.(type) {
	case string:
		return r.Text(v)
	case []any:
		for i := range v {
			v[i] = walk(r, v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = walk(r, v[k])
		}
	}
	return v
}

// portForm is how a port path looks, which is no secret.
var portForm = regexp.MustCompile(`^[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3})*$`)

// newRedactor learns the secrets that have no form of their own.
func newRedactor(f *Facts) *redact.Redactor {
	r := redact.New(func(s string) []string { return []string{name(s), path(s)} })
	for _, d := range f.USB {
		kind := "serial"
		if redact.HasForm(d.Serial) {
			kind = "udid"
		}
		r.Learn(kind, d.Serial)
	}
	for _, udid := range slices.Concat(f.Socket.Devices, f.Records.Files, f.Records.Wide) {
		r.Learn("udid", udid)
	}
	r.Learn("id", f.Socket.BUID)
	for _, n := range []Node{f.Socket.Node, f.Control.Node, f.Records.Node} {
		r.Owner(n.Owner)
	}
	for _, d := range f.USB {
		r.Owner(d.Node.Owner)
	}
	if d := f.Daemon; d != nil {
		r.Learn("id", d.BUID)
		r.Owner(d.RecordDirOwner)
		for _, v := range d.Devices {
			if v.UDID != nil {
				r.Learn("udid", *v.UDID)
			}
			r.Name(v.Name)
		}
		for _, rec := range d.Records {
			r.Learn("udid", rec.UDID)
			r.Learn("id", rec.HostID)
			r.Learn("id", rec.SystemBUID)
			r.Learn("mac", rec.WiFiAddress)
		}
	}
	if !portForm.MatchString(f.Device) {
		r.Asked(f.Device)
	}
	return r
}
