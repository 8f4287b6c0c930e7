package control

import (
	"fmt"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	sibling := anna() // of the same model, hence with the same beginning of its UDID
	sibling.DeviceID, sibling.UDID, sibling.PortPath = ptr(uint32(8)), ptr("00008110-000A1B2C3D4E5FFF"), "1-4"
	sibling.Name = "Annabel"
	pretender := anna() // whose owner is a joker
	pretender.DeviceID, pretender.UDID, pretender.PortPath, pretender.Name = ptr(uint32(9)), ptr("00008120-0000000000000001"), "1-5", "1-2"
	twin := pretender
	twin.UDID, twin.PortPath, twin.Name = ptr("00008120-0000000000000002"), "1-6", "ANNABEL"
	h := NewHub(Config{})
	for _, d := range []Device{anna(), old(), recovery(), sibling, pretender, twin} {
		h.Put(d.PortPath, d)
	}
	for _, tt := range []struct {
		name, ref string
		want      string // key
		code      string
		mentions  string
	}{
		{name: "udid", ref: annasUDID, want: "1-2"},
		{name: "without hyphen", ref: "00008110000A1B2C3D4E5F60", want: "1-2"},
		{name: "lower case", ref: "00008110-000a1b2c3d4e5f60", want: "1-2"},
		{name: "upper case", ref: strings.ToUpper(oldUDID), want: "1-3"},
		{name: "unique beginning", ref: "0123", want: "1-3"},
		{name: "across the hyphen", ref: "00008110-000A1B2C3D4E5F6", want: "1-2"},
		{name: "across no hyphen", ref: "00008110000a1b2c3d4e5F6", want: "1-2"},
		{name: "three characters", ref: "012", code: CodeNotFound, mentions: `"Anna's iPhone" (00008110-000A1B2C3D4E5F60, port 1-2)`},
		{name: "a hyphen is no character", ref: "012-", code: CodeNotFound},
		{name: "common beginning", ref: "00008110", code: CodeAmbiguous, mentions: "00008110-000A1B2C3D4E5FFF"},
		{name: "port before name", ref: "1-2", want: "1-2"},
		{name: "port below the mux", ref: "2-1", want: "2-1"},
		{name: "port is not abbreviated", ref: "2-", code: CodeNotFound},
		{name: "name", ref: "Anna's iPhone", want: "1-2"},
		{name: "name in other case", ref: "anna'S IPHONE", want: "1-2"},
		{name: "name before its beginning", ref: "annabel", code: CodeAmbiguous, mentions: "port 1-6"},
		{name: "unique beginning of a name", ref: "anna'", want: "1-2"},
		{name: "common beginning of names", ref: "ann", code: CodeAmbiguous},
		{name: "name with a slash", ref: "antik/4s", want: "1-3"},
		{name: "nothing", ref: "", code: CodeNotFound},
		{name: "hyphens only", ref: "-----", code: CodeNotFound},
		{name: "unknown", ref: "Zoe", code: CodeNotFound, mentions: "port 2-1"},
		{name: "no utf-8", ref: "\xff\xfe", code: CodeNotFound, mentions: `"\xff\xfe"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, d, err := h.Find(tt.ref)
			if tt.code == "" {
				if err != nil || key != tt.want || d.PortPath != tt.want {
					t.Fatalf("Find(%q) = %q, %v; want %q", tt.ref, key, err, tt.want)
				}
				return
			}
			e, ok := err.(*Error)
			if !ok || e.Code != tt.code || e.Status != statusOf(tt.code) || !strings.Contains(e.Message, tt.mentions) {
				t.Errorf("Find(%q) = %q, %#v; want %s with %q", tt.ref, key, err, tt.code, tt.mentions)
			}
		})
	}
}

func TestFindInACrowd(t *testing.T) {
	h := NewHub(Config{})
	if _, _, err := h.Find("x"); !strings.Contains(err.Error(), "none is plugged in") {
		t.Errorf("without devices: %v", err)
	}
	for i := range 100 {
		d := anna()
		d.PortPath, d.Name = fmt.Sprintf("1-%d", i), strings.Repeat("x", 60)
		h.Put(d.PortPath, d)
	}
	if _, _, err := h.Find("x"); !strings.Contains(err.Error(), "and 92 more") || len(err.Error()) > 2000 {
		t.Errorf("with a hundred: %v", err)
	}
}

func TestFindRecord(t *testing.T) {
	for _, tt := range []struct {
		ref, want, code string
	}{
		{ref: annasUDID, want: annasUDID},
		{ref: "00008110000a1b2c3d4e5f60", want: annasUDID},
		{ref: "0000811", want: annasUDID},
		{ref: "0000", code: CodeAmbiguous},
		{ref: "000", code: CodeNoRecord},
		{ref: "", code: CodeNoRecord},
		{ref: "Anna's iPhone", code: CodeNoRecord},
	} {
		got, err := findRecord(records(), tt.ref)
		if tt.code == "" && (err != nil || got.UDID != tt.want) || tt.code != "" && (err == nil || asError(err).Code != tt.code) {
			t.Errorf("findRecord(%q) = %s, %v; want %s %s", tt.ref, got.UDID, err, tt.want, tt.code)
		}
	}
}
