package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
	"gomuxd/plist"
)

// record makes a pair record.
func record(t testing.TB, hostID, buid string, escrow bool) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	m := map[string]any{
		"HostID": hostID, "SystemBUID": buid, "DeviceCertificate": c, "HostCertificate": c, "RootCertificate": c,
		"HostPrivateKey": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
	if escrow {
		m["EscrowBag"] = []byte("a very secret bag")
	}
	b, err := plist.MarshalXML(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsShow(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	if code, out, _ := l.run("records", "list"); code != exitOK || !strings.Contains(out, "no pair record") {
		t.Errorf("records list = %d, %q", code, out)
	}
	l.acts.records = []control.Record{annaRecord(), boRecord()}
	l.hub.Put("a", anna())
	for _, w := range []int{60, 100, 160} {
		l.width = w
		code, out, errOut := l.run("records", "list")
		if code != exitOK || errOut != "" {
			t.Errorf("records list = %d, %q", code, errOut)
		}
		golden(t, "records-list-"+map[int]string{60: "60", 100: "100", 160: "160"}[w], out)
	}
	l.width = 100
	code, out, errOut := l.run("records", "show", "anna")
	if code != exitOK {
		t.Errorf("records show = %d, %q", code, errOut)
	}
	golden(t, "records-show", out)
}

func TestRestore(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	two := boRecord()
	two.Copies = []control.Copy{{ID: "1", Reason: "replaced"}, {ID: "2", Reason: "deleted"}}
	l.acts.records = []control.Record{annaRecord(), two}
	for _, tt := range []struct {
		args string
		code int
		want string
		call string
	}{
		{annaUDID, exitOK, "20261120T101500Z", "restore " + annaUDID + " 20261120T101500Z"},
		{boUDID + " 2", exitOK, "version 2 again", "restore " + boUDID + " 2"},
		{boUDID, exitUsage, "1 (replaced), 2 (deleted)", ""},
		{boUDID + " 3", exitNoSuch, "no copy", ""},
		{"ffff", exitNoSuch, "no pair record", ""},
	} {
		l.acts.calls = nil
		code, out, errOut := l.run(append([]string{"records", "restore"}, strings.Fields(tt.args)...)...)
		if code != tt.code || !strings.Contains(out+errOut, tt.want) || strings.Join(l.acts.calls, " ") != tt.call {
			t.Errorf("restore %s = %d, %q, %q, %v; want %d, %q, %q", tt.args, code, out, errOut, l.acts.calls, tt.code, tt.want, tt.call)
		}
	}
}

// TestSetAside asserts that what is not in use any more is shown as that, can be
// restored, and is neither exported nor untrusted.
func TestSetAside(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.serveSocket()
	aside := control.Record{UDID: annaUDID, SetAside: true, Copies: annaRecord().Copies}
	l.acts.records = []control.Record{aside}
	if code, out, _ := l.run("records", "list"); code != exitOK || !strings.Contains(out, "set aside") || !strings.Contains(out, "muxctl records restore") {
		t.Errorf("records list = %d, %q", code, out)
	}
	if code, out, _ := l.run("records", "show", annaUDID); code != exitOK || !strings.Contains(out, "no: it is set aside") || !strings.Contains(out, "20261120T101500Z") {
		t.Errorf("records show = %d, %q", code, out)
	}
	if code, out, _ := l.run("untrust", "--all"); code != exitOK || !strings.Contains(out, "no pair record") {
		t.Errorf("untrust --all = %d, %q", code, out)
	}
	if code, _, errOut := l.run("records", "export", "--all", "--passphrase-file", "-"); code != exitNoSuch {
		t.Errorf("export --all = %d, %q; want %d", code, errOut, exitNoSuch)
	}
	l.acts.calls = nil
	if code, _, errOut := l.run("records", "restore", annaUDID); code != exitOK || strings.Join(l.acts.calls, " ") != "restore "+annaUDID+" 20261120T101500Z" {
		t.Errorf("records restore = %d, %q, %v", code, errOut, l.acts.calls)
	}
}

// TestExportImport carries records from one computer to another, each with the
// usbmuxd socket alone.
func TestExportImport(t *testing.T) {
	from := newLab(t)
	from.serveSocket()
	from.attach(annaUDID, "Anna")
	annas, bos := record(t, "ANNA", hostBUID, true), record(t, "BO", "other", false)
	from.records.m[annaUDID], from.records.m[boUDID] = annas, bos
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keyFile, passFile := filepath.Join(from.dir, "key"), filepath.Join(from.dir, "pass")
	for name, text := range map[string]string{keyFile: "# a key\n" + id.String() + "\n", passFile: "correct horse\nsecond line\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, passSealed := filepath.Join(from.dir, "x.age"), filepath.Join(from.dir, "p.age")
	if code, out, errOut := from.run("records", "export", "Anna", boUDID, "-r", id.Recipient().String(), "-o", file); code != exitOK {
		t.Fatalf("export = %d, %q, %q", code, out, errOut)
	}
	if code, _, errOut := from.run("records", "export", "00008110", "--passphrase-file", passFile, "-o", passSealed); code != exitOK {
		t.Fatalf("export = %d, %q", code, errOut)
	}
	for _, name := range []string{file, passSealed} {
		sealed, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode of %s is %v; want 0600", name, info.Mode())
		}
		for _, secret := range []string{"PRIVATE KEY", "secret bag", "ANNA", annaUDID} {
			if bytes.Contains(sealed, []byte(secret)) {
				t.Errorf("%s is readable in %s", secret, name)
			}
		}
	}
	if code, _, errOut := from.run("records", "export", "Anna", "-r", id.Recipient().String(), "-o", file); code != exitFailed || !strings.Contains(errOut, "is there already") {
		t.Errorf("export over a file = %d, %q", code, errOut)
	}
	if code, _, errOut := from.run("records", "export", "--all", "-r", id.Recipient().String(), "-o", file, "--force"); code != exitOK || !strings.Contains(errOut, "left out") {
		t.Errorf("export --all = %d, %q", code, errOut)
	}
	if code, _, _ := from.run("records", "export", "Anna", boUDID, "-r", id.Recipient().String(), "-o", file, "--force"); code != exitOK {
		t.Error("export again failed")
	}

	to := newLab(t)
	to.serveSocket()
	code, out, errOut := to.run("records", "import", file, "-i", keyFile)
	if code != exitOK || strings.Count(out, "saved") != 2 || !strings.Contains(errOut, boUDID+": the record was made by another computer") || strings.Contains(errOut, annaUDID) {
		t.Errorf("import = %d, %q, %q", code, out, errOut)
	}
	if !bytes.Equal(to.records.m[annaUDID], annas) || !bytes.Equal(to.records.m[boUDID], bos) {
		t.Error("a record has changed on the way")
	}
	if code, out, _ := to.run("records", "import", file, annaUDID, "-i", keyFile); code != exitOK || !strings.Contains(out, "here already") {
		t.Errorf("import again = %d, %q", code, out)
	}
	if code, out, errOut := to.run("records", "import", passSealed, "--passphrase-file", passFile); code != exitOK || !strings.Contains(out, "here already") {
		t.Errorf("import with a passphrase = %d, %q, %q", code, out, errOut)
	}
	if code, _, errOut := to.run("records", "import", passSealed, "--passphrase-file", keyFile); code != exitFailed || !strings.Contains(errOut, "another key or passphrase") {
		t.Errorf("import with a wrong passphrase = %d, %q", code, errOut)
	}
	if code, _, errOut := to.run("records", "import", file); code != exitUsage || !strings.Contains(errOut, "--identity") {
		t.Errorf("import without a key = %d, %q", code, errOut)
	}
	if code, _, errOut := to.run("records", "import", file, "ffff0000", "-i", keyFile); code != exitNoSuch || !strings.Contains(errOut, annaUDID) {
		t.Errorf("import of what is not in it = %d, %q", code, errOut)
	}

	// The phone has forgotten this one, which the daemon soon finds out.
	to.serveControl()
	to.attach(annaUDID, "Anna")
	to.hub.Put("a", in(anna(), trust.Connecting, "", ""))
	to.records.m, to.records.forget = map[string][]byte{}, true
	short := to.app.trial
	to.app.trial = patience
	if code, _, errOut := to.run("records", "import", file, annaUDID, "-i", keyFile); code != exitRefused || !strings.Contains(errOut, "does not know it any more") {
		t.Errorf("import of a forgotten record = %d, %q", code, errOut)
	}
	to.records.forget, to.app.trial = false, short
	// What is here stays, unless forced.
	other := record(t, "OTHER", hostBUID, true)
	to.records.m[boUDID] = record(t, "BO", "other", true)
	to.records.m[annaUDID] = other
	code, out, errOut = to.run("records", "import", file, "-i", keyFile)
	if code != exitFailed || !strings.Contains(errOut, "has an escrow bag") || !strings.Contains(errOut, "another pairing") || !bytes.Equal(to.records.m[annaUDID], other) {
		t.Errorf("import over others = %d, %q, %q", code, out, errOut)
	}
	if code, out, _ := to.run("records", "import", file, "-i", keyFile, "--force", "--json"); code != exitOK || strings.Count(out, `"result": "saved"`) != 2 || !strings.Contains(out, "has not accepted it yet (connecting)") || !bytes.Equal(to.records.m[annaUDID], annas) {
		t.Errorf("import --force = %d, %q", code, out)
	}
}

func TestImportBroken(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	f, err := readFacts(record(t, "A", hostBUID, true))
	if err != nil {
		t.Fatal(err)
	}
	g, err := readFacts(record(t, "B", hostBUID, true))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.check(); err != nil {
		t.Errorf("check = %v", err)
	}
	mixed := f
	mixed.HostPrivateKey = g.HostPrivateKey
	if err := mixed.check(); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("check of a mixed record = %v", err)
	}
	mixed.HostPrivateKey = []byte("x")
	if err := mixed.check(); err == nil || !strings.Contains(err.Error(), "HostPrivateKey") {
		t.Errorf("check of a record without a key = %v", err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(l.dir, "key")
	if err := os.WriteFile(key, []byte(id.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]export{
		"format":  {Format: "x", Version: 1},
		"version": {Format: exportFormat, Version: 2},
		"empty":   {Format: exportFormat, Version: 1},
		"udid":    {Format: exportFormat, Version: 1, Records: []exported{{"../x", record(t, "A", "", false)}}},
		"plist":   {Format: exportFormat, Version: 1, Records: []exported{{annaUDID, []byte("x")}}},
		"keyless": {Format: exportFormat, Version: 1, Records: []exported{{annaUDID, []byte("<plist><dict><key>HostID</key><string>h</string></dict></plist>")}}},
	} {
		sealed, err := seal(e, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(l.dir, name)
		if err := os.WriteFile(file, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errOut := l.run("records", "import", file, "-i", key); code != exitFailed || errOut == "" {
			t.Errorf("%s: import = %d, %q, %q", name, code, out, errOut)
		}
		if err := os.WriteFile(file, sealed[:len(sealed)-3], 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, _ := l.run("records", "import", file, "-i", key); code != exitFailed {
			t.Errorf("%s: import of half a file = %d", name, code)
		}
	}
	if len(l.records.m) != 0 {
		t.Errorf("saved %v", l.records.m)
	}
}

func TestPassphraseIsAsked(t *testing.T) {
	l := newLab(t)
	answers := []string{"one", "two"}
	l.app.readPassword = func(string) (string, error) {
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}
	if _, err := l.app.passphrase("", true); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("passphrase = %v", err)
	}
	answers = []string{"one", "one"}
	if p, err := l.app.passphrase("", true); err != nil || p != "one" {
		t.Errorf("passphrase = %q, %v", p, err)
	}
}

func FuzzDecodeExport(f *testing.F) {
	b, err := json.Marshal(export{Format: exportFormat, Version: exportVersion, Records: []exported{{annaUDID, record(f, "A", hostBUID, true)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"usbmuxd pair records","version":1,"records":[{"udid":"x","record":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeExport(data)
		if err != nil {
			return
		}
		for _, r := range e.Records {
			if !looksLikeUDID(r.UDID) || strings.ContainsAny(r.UDID, "/.\x00") || len(r.Record) > maxRecord {
				t.Fatalf("took a record of %q, %d bytes", r.UDID, len(r.Record))
			}
			facts, err := readFacts(r.Record)
			if err != nil {
				t.Fatal(err)
			}
			_ = facts.check()
		}
	})
}
