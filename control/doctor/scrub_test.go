package doctor

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// TestWriteReport greps a report for everything that must not be in it.
func TestWriteReport(t *testing.T) {
	f := facts(trust.RecordBroken)
	f.Device = "00008110-000a"
	f.USB[0].Node.Owner = "anna:anna"
	f.USB[0].Hub = "USB2.1 Hub at port 1"
	f.USB = append(f.USB, USBDevice{Port: "1-5", Kind: KindRecovery, Serial: "CPID:8110 ECID:000A1B2C3D4E5F60 SRNM:[C39XK0AAAAAA]"},
		USBDevice{Port: "1-6", Kind: KindMux, Serial: "C02ZZ0XYMD6T"})
	f.Socket.Path = "/home/anna/muxd.sock"
	f.Socket.Devices = []string{annasUDID, strings.ToUpper(oldUDID)}
	f.Socket.BUID = "30142955-444094379208051516"
	f.Records.Wide = []string{annasUDID}
	f.Records.Path, f.Records.Owner = "/home/anna/lockdown", "anna:users"
	f.Records.Error = "open /home/anna/lockdown/" + annasUDID + ".plist: permission denied"
	f.Unseen = []Unseen{{"x", "read /home/bea/" + oldUDID + ".plist: Anna’s iPhone, 5e:b1:97:00:11:99, fe80::1cb3:97ff:fe00:1122%eth0"}}
	f.Daemon.Devices[0].Reason = "Anna's iPhone (00008110-000A1B2C3D4E5F60) said: Anna is away"
	bea := anna("locked", "Béatrice's iPad <Pro> & “more” is locked", "unlock")
	bea.Name, bea.UDID, bea.PortPath = "Béatrice's iPad <Pro> & “more”", ptr(oldUDID), "1-3"
	nameless := anna("trusted", "", "")
	nameless.Name, nameless.UDID, nameless.PortPath = "iPhone", ptr("00008030-001122334455667A"), "1-6"
	odd := anna("trusted", "", "")
	odd.Name, odd.UDID, odd.PortPath = "name", nil, "1-7" // as in a token
	long := anna("locked", "", "")
	long.Name, long.UDID, long.PortPath = strings.Repeat("Konstantinopolitanische ", 8), nil, "1-8"
	f.Daemon.Devices = append(f.Daemon.Devices, bea, nameless, odd, long)
	f.Daemon.Records = append(f.Daemon.Records, control.Record{UDID: oldUDID, HostID: "HOST-OF-ANOTHER-FORM", WiFiAddress: "5e:b1:97:00:11:99"})

	var b bytes.Buffer
	if err := WriteReport(&b, f, Judge(f)); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, s := range []string{
		annasUDID, "000081100", "000A1B2C3D4E5F60", oldUDID, "0123456789", "00008030", "00008110",
		"Anna", "Béatrice", "Beatrice", "atrice", "<Pro>", "home/anna", "bea/", "Konstantinopolitanische",
		"11111111-2222", "444094379208051516", "HOST-OF-ANOTHER", "a4:b1:97", "5e:b1:97", "fe80::", "C02ZZ0XYMD6T", "C39XK0AAAAAA", "ECID",
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			at := strings.Index(strings.ToLower(text), strings.ToLower(s))
			t.Errorf("%q is in the report: ...%s...", s, text[max(0, at-60):min(len(text), at+60)])
		}
	}
	for _, s := range []string{"iPhone 13", "1-2", "12a8", "17.5", "record-broken", "root:root", "/dev/bus/usb/001/007", "permission denied"} {
		if !strings.Contains(text, s) {
			t.Errorf("%q is not in the report, but tells nobody who it is", s)
		}
	}
	_, facts, ok := strings.Cut(text, "\nFacts:\n")
	if !ok {
		t.Fatal("no facts")
	}
	var back Facts
	if err := json.Unmarshal([]byte(facts), &back); err != nil {
		t.Fatalf("the facts are no JSON: %v", err)
	}
	if got, want := back.USB[0].Serial, *back.Daemon.Devices[0].UDID; got != want || !regexp.MustCompile(`^<udid-\d+>$`).MatchString(got) {
		t.Errorf("one phone, two tokens: %s and %s", got, want)
	}
	if got, want := back.Socket.Devices[1], *back.Daemon.Devices[1].UDID; got != want {
		t.Errorf("one phone, two tokens: %s and %s", got, want)
	}
	if back.Daemon.Devices[1].Name == back.Daemon.Devices[0].Name {
		t.Error("two phones, one token")
	}
	if got := back.Daemon.Devices[2].Name; got != "iPhone" {
		t.Errorf("a phone that nobody has named is called %q", got)
	}
}

// TestReportIsTheSame asks that a report can be compared with another.
func TestReportIsTheSame(t *testing.T) {
	f := facts(trust.Denied)
	var a, b bytes.Buffer
	if err := WriteReport(&a, f, Judge(f)); err != nil {
		t.Fatal(err)
	}
	if err := WriteReport(&b, f, Judge(f)); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Error("the same facts make two reports")
	}
	if *f.Daemon.Devices[0].UDID != annasUDID {
		t.Error("the facts themselves were changed")
	}
}
