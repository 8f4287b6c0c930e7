package redact

import (
	"strings"
	"testing"
)

const (
	annas = "00008110-000A1B2C3D4E5F60"
	old   = "0123456789abcdef0123456789abcdef01234567"
)

func TestText(t *testing.T) {
	r := New(func(s string) []string { return []string{s[:min(len(s), 6)] + "…"} })
	r.Learn("udid", annas)
	r.Learn("serial", "C02ZZ0XYMD6T")
	r.Learn("id", "30142955-444094379208051516")
	r.Learn("id", " \t")
	r.Name("Anna's iPhone")
	r.Name("iPhone")
	r.Name("Telefon von Bea")
	r.Owner("carl:users")
	r.Owner("1000:root")
	r.Asked("00008110")
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "iPhone 13 at 1-2, root:users", "iPhone 13 at 1-2, root:users"},
		{"learnt udid", annas, "<udid-1>"},
		{"other spelling of it", strings.ToLower(strings.ReplaceAll(annas, "-", "")), "<udid-1>"},
		{"udid by its form", "/x/" + old + ".plist", "/x/<udid-2>.plist"},
		{"serial", "serial C02ZZ0XYMD6T.", "serial <serial-1>."},
		{"id without hyphen", "30142955444094379208051516", "<id-1>"},
		{"name and person", "Anna’s: ANNA'S IPHONE, Anna, Annabel", "<name-2>’s: <name-1>, <name-2>, Annabel"},
		{"as spelt", "Anna's…", "<name-1>…"},
		{"person at the end", "bea", "<name-4>"},
		{"owner", "carl 1000", "<user-1> 1000"},
		{"asked for, after what it is part of", annas + " 00008110 x", "<udid-1> <name-5> x"},
		{"mac", "5e:b1:97:00:11:99", "<mac-1>"},
		{"address", "fe80::1cb3:97ff:fe00:1122%eth0", "<ip-1>"},
		{"home", "/home/dora/x", "<home-1>/x"},
		{"no utf-8", "\xff\xb0\xfe " + annas, "\uFFFD <udid-1>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := r.Text(tt.in); got != tt.want {
				t.Errorf("Text(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// FuzzText asserts that nothing that was learnt comes through as a word of its
// own, whatever surrounds it.
func FuzzText(f *testing.F) {
	f.Add("anna", "a word of anna: x")
	f.Add(annas, "00008110-000a1b2c3d4e5f60")
	f.Add("udid-1", annas)
	f.Fuzz(func(t *testing.T, secret, around string) {
		secret = strings.TrimSpace(strings.ToValidUTF8(secret, ""))
		if len(secret) < 3 || strings.ContainsAny(secret, "<>\x00\uFFFD") {
			return
		}
		if strings.Trim(secret, " ?") == "" {
			return // says nothing of anybody
		}
		r := New(nil)
		r.Learn("kind", secret)
		token := r.token("kind", secret)
		out := r.Text(around + " " + secret + " " + around)
		if !strings.Contains(out, token) {
			t.Fatalf("no token for %q in %q", secret, out)
		}
		if strings.Contains(" "+strings.ReplaceAll(out, token, "\x00")+" ", " "+secret+" ") {
			t.Fatalf("%q is in %q", secret, out)
		}
	})
}
