package virtualphone

import (
	"encoding/json"
	"testing"
)

// TestMemory: a phone with the memory of another one is that phone to its host,
// and never asks again.
func TestMemory(t *testing.T) {
	p, _, c := paired(t, Config{OwnKey: true})
	p.SetPasscode("1")
	must(t, p.Lock())
	m, err := p.Memory()
	must(t, err)
	must(t, p.Close())

	again := newPhone(t, Config{OwnKey: true, Memory: m})
	if s := again.State(); !s.Locked || !s.PasscodeSet || s.LockedSinceBoot || len(s.Hosts) != 1 {
		t.Errorf("state %+v", s)
	}
	l := lockdownOf(dialPhone(t, plug(t, again)))
	l.start(c, c.cert)
	if string(again.DevicePublicKey()) != string(p.DevicePublicKey()) {
		t.Error("another key")
	}
	if s := again.Stats(); s.Dialogs != 1 || s.Pairings != 1 {
		t.Errorf("stats %+v", s)
	}
	clean(t, again)

	var known memory
	must(t, json.Unmarshal(m, &known))
	known.Hosts[0].HostKey = nil
	keyless, err := json.Marshal(known)
	must(t, err)
	for name, bad := range map[string]Config{
		"another phone": {Memory: m, UDID: "00008110-000A11112222002E"},
		"no JSON":       {Memory: []byte("x")},
		"no key":        {Memory: []byte(`{"udid":"` + p.UDID() + `"}`)},
		"no host key":   {Memory: keyless},
	} {
		if p, err := New(bad); err == nil {
			p.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
