package explain

import (
	"strconv"

	"gomuxd/lockdown/trust"
)

// Entry is one thing that can be looked up. The texts have at most 300
// characters each.
type Entry struct {
	Name    string   // as it is written: "PasswordProtected", "Result 3", "dialog-shown"
	Codes   []string // numbers and other names of it
	Family  string   // one of the Family constants
	Meaning string
	Remedy  string
}

// Families of entries.
const (
	FamilyLockdown     = "lockdown"      // lockdownd's names, and libimobiledevice's numbers
	FamilyUsbmuxd      = "usbmuxd"       // Number of a usbmuxd Result
	FamilyTrust        = "trust state"   // of this daemon
	FamilyMobileDevice = "mobile device" // of Apple's MobileDevice library: 0xE80000xx
)

// entry is an Entry with what finds it.
type entry struct {
	Entry
	lockdown int    // libimobiledevice's number, below zero, or 0
	result   int    // of a Result, or -1
	code     uint32 // of MobileDevice, or 0
	aliases  []string
}

// catalogue holds all entries, family by family.
var catalogue = build()

func build() []entry {
	var all []entry
	for _, e := range lockdownErrors {
		t := entry{Entry: Entry{Name: e.name, Family: FamilyLockdown, Meaning: e.meaning, Remedy: e.remedy}, lockdown: e.number, result: -1, aliases: e.aliases}
		if e.number != 0 {
			t.Codes = append(t.Codes, strconv.Itoa(e.number))
		}
		all = append(all, t)
	}
	for _, e := range results {
		t := entry{Entry: Entry{Name: "Result " + strconv.Itoa(e.number), Codes: []string{strconv.Itoa(e.number)}, Family: FamilyUsbmuxd, Meaning: e.meaning, Remedy: e.remedy}, result: e.number, aliases: e.aliases}
		all = append(all, t)
	}
	for _, s := range trust.States() {
		meaning, remedy := State(s, Facts{})
		all = append(all, entry{Entry: Entry{Name: string(s), Family: FamilyTrust, Meaning: meaning, Remedy: remedy}, result: -1})
	}
	for _, e := range mobileDevice {
		t := entry{Entry: Entry{Name: "kAMD" + e.name, Codes: []string{e.hex()}, Family: FamilyMobileDevice, Meaning: e.meaning, Remedy: e.remedy}, result: -1, code: codeBase + e.code}
		if e.same != "" {
			t.Meaning, t.Remedy = sameAs(e.same)
		}
		all = append(all, t)
	}
	for _, j := range mobileJobs {
		for _, c := range j.causes {
			e := mobileError{code: c.code, name: c.name}
			all = append(all, entry{Entry: Entry{Name: "kAMD" + c.name, Codes: []string{e.hex()}, Family: FamilyMobileDevice, Meaning: j.meaning(c), Remedy: j.remedy}, result: -1, code: codeBase + c.code})
		}
	}
	for i := range all {
		all[i].Codes = append(all[i].Codes, all[i].aliases...)
	}
	return all
}

// sameAs gives the texts of a lockdown error, for the codes that only wrap it.
func sameAs(name string) (meaning, remedy string) {
	for _, e := range lockdownErrors {
		if e.name == name {
			return e.meaning, e.remedy
		}
	}
	return "", ""
}

// All lists every entry, family by family.
func All() []Entry {
	all := make([]Entry, len(catalogue))
	for i, e := range catalogue {
		all[i] = e.public()
	}
	return all
}

// public is the entry for a caller, who may change it.
func (e entry) public() Entry {
	p := e.Entry
	p.Codes = append([]string{}, p.Codes...)
	return p
}
