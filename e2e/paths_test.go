package e2e_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gomuxd/e2e"
	"gomuxd/plist"
)

// tricks are ids of records that lead, or look as if they led, somewhere else.
func tricks(outside string) []string {
	return []string{
		"", ".", "..", "/", "../outside", "..\\outside", "a/../../outside", strings.TrimSuffix(outside, ".plist"),
		firstPhone + "/", "/" + firstPhone, firstPhone + "/../../outside", "./" + firstPhone, firstPhone + ".plist",
		"SystemConfiguration", "systemconfiguration", "SystemConfiguration\x00", ".replaced/" + firstPhone, ".untrusted/" + firstPhone,
		firstPhone + "\x00", firstPhone + "\x00/../../outside", "\x00", firstPhone + "\n", " " + firstPhone, firstPhone + " ",
		strings.Repeat("a", 65), strings.Repeat("a", 255), strings.Repeat("a", 4096), strings.Repeat("../", 3000) + "outside",
		"００００８１１０-000A111122220000",          // full-width digits
		"00008110\u2010000A111122220000",     // a hyphen that is none
		"00008110-000А111122220000",          // Cyrillic A
		"00008110-000A11112222000\u0660",     // Arabic zero
		"00008110-000A111122220000\u200b",    // no width
		"\u202e00008110-000A111122220000",    // right to left
		"00008110-000A111122220000\u0301",    // combining
		"．．／outside", "\u2024\u2024/outside", // dots and slash that are none
		"\xc0\xae\xc0\xae\xc0\xafoutside", // overlong UTF-8 of ../
		"%2e%2e%2foutside", "~root", "$HOME", "*", "-rf", "nul", "con",
	}
}

// number sends a request in a binary property list, which can say what XML cannot,
// and returns the Result.
func number(t *testing.T, r *e2e.Rig, request map[string]any) string {
	t.Helper()
	payload, err := plist.MarshalBinary(request)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", r.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	for _, v := range []uint32{1, 8, 1} {
		msg = binary.LittleEndian.AppendUint32(msg, v)
	}
	if _, err := c.Write(append(msg, payload...)); err != nil {
		t.Fatal(err)
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`<key>Number</key>\s*<integer>(\d+)</integer>`).FindSubmatch(reply)
	if m == nil {
		return string(reply)
	}
	return string(m[1])
}

// tree is all that is below a directory: names, modes, sizes, times, links, contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case fi.Mode().IsRegular():
			text, err = os.ReadFile(path)
		case fi.Mode()&os.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(path)
			text = []byte(to)
		}
		fmt.Fprintf(&s, "%s %v %v %q\n", path, fi.Mode(), fi.ModTime(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

// TestPathTricks asks the daemon for records of names that lead elsewhere, and for
// ones in whose place links have been planted: each is refused, and nothing in the
// directory or outside it is touched or shown.
func TestPathTricks(t *testing.T) {
	dir := t.TempDir()
	records, outside := filepath.Join(dir, "lockdown"), filepath.Join(dir, "outside.plist")
	secret, err := plist.MarshalXML(map[string]any{"HostID": "of another", "EscrowBag": []byte("a bag outside")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, secret, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(records, 0o700); err != nil {
		t.Fatal(err)
	}
	// Links of each kind in the place of a record of a phone's that is not here.
	var planted []string
	for i, to := range []string{outside, "../outside.plist", "SystemConfiguration.plist", "/etc/passwd", "/dev/zero", "nowhere", ".", fmt.Sprintf("%040x.plist", 7)} {
		id := fmt.Sprintf("%040x", i)
		if err := os.Symlink(to, filepath.Join(records, id+".plist")); err != nil {
			t.Fatal(err)
		}
		planted = append(planted, id)
	}
	r := start(t, e2e.Config{Args: []string{"-p", "-C", records}})
	if got := number(t, r, map[string]any{"MessageType": "ReadBUID"}); !strings.Contains(got, "BUID") {
		t.Fatalf("ReadBUID = %s", got)
	}
	before := tree(t, dir)
	ask := func(id string, want func(got string) bool) {
		t.Helper()
		for _, kind := range []string{"ReadPairRecord", "SavePairRecord", "DeletePairRecord"} {
			got := number(t, r, map[string]any{"MessageType": kind, "PairRecordID": id, "PairRecordData": secret})
			if !want(got) {
				t.Errorf("%s of %.60q = %s", kind, id, got)
			}
		}
	}
	for _, id := range tricks(outside) {
		ask(id, func(got string) bool { return got == "22" })
	}
	for _, id := range planted {
		ask(id, func(got string) bool { return len(got) < 4 && got != "0" }) // a number, and no content
	}
	if after := tree(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// And the daemon is none the worse.
	id := strings.Repeat("ab", 20)
	if got := number(t, r, map[string]any{"MessageType": "SavePairRecord", "PairRecordID": id, "PairRecordData": secret}); got != "0" {
		t.Errorf("SavePairRecord = %s", got)
	}
}
