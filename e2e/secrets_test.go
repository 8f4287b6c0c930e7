package e2e_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
	"gomuxd/plist"
)

// secretKeys are what a pair record must never show outside its file. Certificates
// and ids are no secrets.
var secretKeys = []string{"HostPrivateKey", "RootPrivateKey", "EscrowBag"}

// marks are what a secret looks like in texts: any of its lines or a good part of
// it, in any usual writing.
func marks(secret []byte) (all []string) {
	whole := [][]byte{secret}
	if block, _ := pem.Decode(secret); block != nil {
		whole = append(whole, block.Bytes)
		for line := range strings.Lines(string(secret)) {
			if line = strings.TrimSpace(line); len(line) >= 32 && !strings.HasPrefix(line, "-----") {
				all = append(all, line)
			}
		}
	}
	for _, b := range whole {
		const size = 18        // bytes, 24 digits of base64
		for shift := range 3 { // of which the digits depend on where in a group they begin
			at := len(b)/3 + shift
			all = append(all, base64.StdEncoding.EncodeToString(b[at:at+size]))
		}
		part := b[len(b)/3 : len(b)/3+size]
		all = append(all, hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)), string(part))
	}
	return all
}

// TestNoSecrets asserts that private keys and escrow bags are in the record's file
// and nowhere else: not in the most talkative log, not in a dump of all goroutines,
// not in the control API, not in muxctl.
func TestNoSecrets(t *testing.T) {
	r := start(t, e2e.Config{Passcode: "1234", Args: []string{"-vvvv"}})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	awaitTrust(t, r, trust.Trusted)
	file := filepath.Join(r.Records, firstPhone+".plist")
	record, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secrets := collect(t, record)

	// All that touches records: read, save, refuse, delete, pair anew.
	run(t, r, "SUCCESS", "idevicepair", "validate")
	run(t, r, "Virtual iPhone", "ideviceinfo", "-k", "DeviceName")
	muxctl(t, r, "", "records", "show", firstPhone)
	muxctl(t, r, "", "untrust", "--yes", firstPhone)
	awaitTrust(t, r, trust.NotAsked)
	if err := os.WriteFile(file, record[:len(record)/2], 0o600); err != nil { // a broken one
		t.Fatal(err)
	}
	fails(t, r, "", "idevicepair", "validate")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	fails(t, r, "", "idevicepair", "pair") // asks
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	run(t, r, "SUCCESS", "idevicepair", "pair")
	awaitTrust(t, r, trust.Trusted)
	if record, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, collect(t, record)...)

	texts := map[string]string{}
	api := control.Dial(r.Control())
	for name, get := range map[string]func() (any, error){
		"devices": func() (any, error) { return api.Devices(limit(t)) },
		"records": func() (any, error) { return api.Records(limit(t)) },
		"daemon":  func() (any, error) { return api.Daemon(limit(t)) },
	} {
		v, err := get()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	for _, args := range [][]string{{"list", "--json"}, {"status"}, {"records", "list"}, {"records", "show", firstPhone, "--json"}, {"doctor", "--json"}} {
		out, _ := r.Muxctl(limit(t), args...) // doctor finds things to say here
		texts["muxctl "+strings.Join(args, " ")] = out
	}
	report := filepath.Join(t.TempDir(), "report")
	_, _ = r.Muxctl(limit(t), "doctor", "--report", report)
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	texts["the doctor's report"] = string(b)
	dump := r.Quit()
	if !strings.Contains(dump, "goroutine 1 ") {
		t.Error("there is no dump")
	}
	texts["the log, with all goroutines"] = dump

	for where, text := range texts {
		if len(text) < 2 {
			t.Errorf("%s says nothing", where)
		}
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s shows %q", where, s)
			}
		}
	}
}

// collect reads the secrets of a record, and asserts that their marks show them
// where they are.
func collect(t *testing.T, record []byte) (all []string) {
	t.Helper()
	var fields map[string]any
	if err := plist.Unmarshal(record, &fields); err != nil {
		t.Fatal(err)
	}
	for _, k := range secretKeys {
		secret, ok := fields[k].([]byte)
		if !ok || len(secret) < 24 {
			t.Fatalf("record's %s is %T", k, fields[k])
		}
		m := marks(secret)
		if !slices.ContainsFunc(m, func(s string) bool { return strings.Contains(string(record), s) }) {
			t.Fatalf("the marks of %s are not even in the record", k)
		}
		all = append(all, m...)
	}
	return all
}
