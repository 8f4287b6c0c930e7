package explain

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
)

func names(entries []Entry) []string {
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func TestAllIsComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, e := range All() {
		checkText(t, "meaning of "+e.Name, e.Meaning)
		checkText(t, "remedy of "+e.Name, e.Remedy)
		if e.Name == "" || !slices.Contains([]string{FamilyLockdown, FamilyUsbmuxd, FamilyTrust, FamilyMobileDevice}, e.Family) {
			t.Errorf("entry %+v has no name or no family", e)
		}
		for _, name := range append([]string{e.Family + " " + e.Name}, e.Codes...) {
			if name == "" || seen[e.Family+name] {
				t.Errorf("%q is empty or twice in family %q", name, e.Family)
			}
			seen[e.Family+name] = true
		}
		// What is listed can be looked up, by its name and by its codes.
		for _, query := range append([]string{e.Name}, e.Codes...) {
			if got := names(Lookup(query)); !slices.Contains(got, e.Name) {
				t.Errorf("Lookup(%q) = %q, want %q among them", query, got, e.Name)
			}
		}
	}
	for _, n := range errorNames {
		found := Lookup(string(n))
		if len(found) == 0 || found[0].Name != string(n) || found[0].Family != FamilyLockdown {
			t.Errorf("Lookup(%s) = %q, want it first", n, names(found))
			continue
		}
		if num := n.Number(); num != -256 && !slices.Contains(found[0].Codes, strconv.Itoa(num)) {
			t.Errorf("codes of %s are %q, want %d among them", n, found[0].Codes, num)
		}
	}
	for _, s := range trust.States() {
		if got := names(Lookup(string(s))); !slices.Contains(got, string(s)) {
			t.Errorf("Lookup(%s) = %q", s, got)
		}
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 13, 22, 28} {
		query := "Result " + strconv.Itoa(n)
		if got := names(Lookup(query)); !slices.Equal(got, []string{query}) {
			t.Errorf("Lookup(%q) = %q", query, got)
		}
	}
}

// TestErrorNames holds the names and numbers here against those of package lockdown.
func TestErrorNames(t *testing.T) {
	known := 0
	for i, n := range errorNames {
		if !n.Known() || slices.Contains(errorNames[:i], n) {
			t.Errorf("%s is unknown to package lockdown, or found twice", n)
		}
		if num := n.Number(); num < 0 && num != -256 {
			known++
		}
	}
	if known < 30 { // -10 to -39 without a gap
		t.Errorf("%d error names with a number, want at least 30", known)
	}
	for _, e := range lockdownErrors {
		if n := lockdown.ErrorName(e.name); n.Known() && n.Number() != -256 && n.Number() != e.number {
			t.Errorf("%s has number %d, want %d", e.name, e.number, n.Number())
		}
	}
}

func TestMobileDevice(t *testing.T) {
	var last uint32
	for _, e := range mobileDevice {
		if e.code <= last || e.code > 0xFF {
			t.Errorf("0x%02X follows 0x%02X: want one order, no code twice", e.code, last)
		}
		last = e.code
		if (e.same == "") == (e.meaning == "") || (e.meaning == "") != (e.remedy == "") {
			t.Errorf("%s wants either texts or the lockdown error that has them", e.name)
		}
		if !regexp.MustCompile(`^[A-Z][A-Za-z]+$`).MatchString(e.name) {
			t.Errorf("%q is no name", e.name)
		}
	}
	seen := make(map[uint32]bool)
	for _, e := range catalogue {
		if e.code != 0 && seen[e.code] {
			t.Errorf("0x%08X is there twice", e.code)
		}
		seen[e.code] = true
	}
	for code := uint32(codeBase + 0x01); code <= codeBase+0x9D; code++ {
		if !seen[code] {
			t.Errorf("0x%08X is missing from a range that is known without a gap", code)
		}
	}
}

func TestLookup(t *testing.T) {
	const muxConnect = "kAMDMuxConnectError"
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"PasswordProtected", []string{"PasswordProtected"}},
		{"  passwordprotected\n", []string{"PasswordProtected"}},
		{"LOCKDOWN_E_PASSWORD_PROTECTED", []string{"PasswordProtected"}},
		{"PairingDialogResponsePendingError", []string{"PairingDialogResponsePending"}},
		{"DIALOG-SHOWN", []string{"dialog-shown"}},
		{"dialog shown", []string{"dialog-shown"}},
		{"EscrowLocked", []string{"EscrowLocked", "escrow-locked"}},
		{"locked", []string{"locked"}},
		{"-17", []string{"PasswordProtected"}},
		{"\u221217", []string{"PasswordProtected"}},
		{"17", []string{"PasswordProtected"}},
		{"13", []string{"GetProhibited", "Result 13"}},
		{"0", []string{"Result 0"}},
		{"Result 3", []string{"Result 3"}},
		{"result: 3", []string{"Result 3"}},
		{"RESULT_CONNREFUSED", []string{"Result 3"}},
		{"0xe8000065", []string{muxConnect}},
		{"0XE8000065", []string{muxConnect}},
		{"E8000065", []string{muxConnect}},
		{"3892314213", []string{muxConnect}},
		{"-402653083", []string{muxConnect}},
		{"0xffffffffe8000065", []string{muxConnect}},
		{"kAMDMuxConnectError", []string{muxConnect}},
		{"AMDMuxConnectError", []string{muxConnect}},
		{"0xE800003A", []string{"kAMDApplicationVerificationFailedError"}},
		{"Failed to mount image: 0xE80000E2 (kAMDMobileImageMounterDeviceLocked: The device is locked.)", []string{"kAMDMobileImageMounterDeviceLocked"}},
		{"-256", []string{"UnknownError"}},

		{"ERROR: Could not connect to lockdownd, error code -17", []string{"PasswordProtected"}},
		{"Could not connect to lockdownd: SSL error (-5)", []string{"SSLError"}},
		{"lockdown StartSession: InvalidHostID", []string{"InvalidHostID"}},
		{"lockdown error: Pairing dialog response pending", []string{"PairingDialogResponsePending"}},
		{"iTunes could not connect to this iPhone. An unknown error occurred (0xE8000065).", []string{muxConnect}},
		{`<key>Number</key><integer>3</integer>`, []string{"Result 3"}},
		{`{"trust":"record-broken","cause":"tls-refused"}`, []string{"record-broken"}},
		{"pymobiledevice3.exceptions.UserDeniedPairingError: -18", []string{"UserDeniedPairing"}},
		{"ERROR: Please accept the trust dialog on the screen of device 0000, then attempt to pair again.", []string{"PairingDialogResponsePending"}},
		{"2026-11-25 12:00:17 usbmuxd[813]: the request was denied after 17 tries", nil},
		{"exit status 1", nil},

		{"", nil}, {" ", nil}, {"-", nil}, {"0x", nil}, {"nothing of the kind", nil},
		{"-1000", nil}, {"99999999999999999999", nil}, {"0xdeadbeef", nil}, {"0xe80000ff", nil},
		{strings.Repeat("x", 10000), nil},
	} {
		if got := names(Lookup(tt.query)); !slices.Equal(got, append([]string{}, tt.want...)) {
			t.Errorf("Lookup(%.80q) = %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestEntriesAreCopies(t *testing.T) {
	Lookup("-17")[0].Codes[0] = "changed"
	All()[0].Codes[0] = "changed"
	if e := Lookup("-17")[0]; e.Codes[0] != "-17" || All()[0].Codes[0] != "-1" {
		t.Errorf("a caller has changed the catalogue: %q", e.Codes)
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{"PaswordProtected", "PasswordProtected"},
		{"InvalidHost", "InvalidHostID"},
		{"dialogshow", "dialog-shown"},
		{"trustd", "trusted"},
		{"zzzzzzzz", ""}, {"", ""}, {"ab", ""}, {strings.Repeat("x", 10000), ""},
	} {
		got := Nearest(tt.query)
		if tt.want == "" && len(got) == 0 {
			continue
		}
		if len(got) == 0 || len(got) > maxNear || got[0] != tt.want {
			t.Errorf("Nearest(%.20q) = %q, want %q first", tt.query, got, tt.want)
		}
	}
}

func TestLadder(t *testing.T) {
	for _, tt := range []struct {
		class, version, part string
		length               int
	}{
		{"iPhone", "17.5", "Settings > General > Transfer or Reset iPhone > Reset > Reset Location & Privacy", 10},
		{"iPad", "14.2", "Settings > General > Reset > Reset Location & Privacy", 10},
		{"iPad", "26.0", "Settings > General > Transfer or Reset iPad > Erase All Content and Settings", 10},
		{"", "", "Settings > General > Transfer or Reset > Reset > Reset Network Settings", 10},
		{"Watch", "11.0", "Unlock the Watch", 7},
		{"AppleTV", "17.0", "Unlock the device", 7},
	} {
		ladder := Ladder(tt.class, tt.version)
		all := ""
		for _, r := range ladder {
			checkText(t, r.Name, r.Do)
			checkText(t, "price of "+r.Name, r.Price)
			all += r.Do + "\n"
		}
		if len(ladder) != tt.length || ladder[0].Name != "unlock" || ladder[len(ladder)-1].Name != "erase" || !strings.Contains(all, tt.part) {
			t.Errorf("Ladder(%q, %q) has %d remedies, want %d from unlock to erase with %q:\n%s", tt.class, tt.version, len(ladder), tt.length, tt.part, all)
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{"-17", "Result 3", "0xE8000065", "3892314213", "error code -5", "LOCKDOWN_E_", "pairing dialog response pending", "\xff\u2212"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		found := Lookup(query)
		for i, e := range found {
			if e.Name == "" || e.Meaning == "" || e.Remedy == "" || slices.Contains(names(found[:i]), e.Name) {
				t.Errorf("Lookup(%q) gives a poor entry, or one twice: %+v", query, e)
			}
		}
		if again := Lookup(query); !slices.Equal(names(again), names(found)) {
			t.Errorf("Lookup(%q) = %q, then %q", query, names(found), names(again))
		}
		if near := Nearest(query); len(near) > maxNear {
			t.Errorf("Nearest(%q) = %q, want at most %d", query, near, maxNear)
		}
	})
}
