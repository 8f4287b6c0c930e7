package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Judge makes a report of facts. It looks at nothing else.
func Judge(f Facts) Report {
	j := &judge{f: &f, all: phones(&f)}
	j.phones = j.all
	if f.Device != "" {
		j.phones = find(j.all, f.Device)
	}
	j.cable()
	for _, step := range []func(phone){j.authorized, j.charging, j.port, j.recovery, j.mux, j.node} {
		j.each(step)
	}
	j.udev()
	j.otherDaemon()
	for _, step := range []func(phone){j.holder, j.driver, j.suspend} {
		j.each(step)
	}
	j.socket()
	j.control()
	j.recordDir()
	j.keys()
	j.buid()
	j.each(j.record)
	j.clock()
	j.trust()
	return j.report()
}

// judge collects checks.
type judge struct {
	f      *Facts
	all    []phone // every one
	phones []phone // those asked for
	now    *phone  // the one that is judged; nil for the computer
	checks []finding

	foreign bool // another daemon answers in place of ours
}

// finding is a check with the phone it is about.
type finding struct {
	Check
	phone *phone
}

// each judges every phone, which is then what add labels checks with.
func (j *judge) each(step func(phone)) {
	for i := range j.phones {
		j.now = &j.phones[i]
		step(j.phones[i])
	}
	j.now = nil
}

var titles = map[string]string{
	CheckCable:       "Cable",
	CheckAuthorized:  "USB authorization",
	CheckCharging:    "Data or charging only",
	CheckPort:        "Port and speed",
	CheckRecovery:    "Recovery and restore",
	CheckMux:         "USB mode",
	CheckNode:        "Device permissions",
	CheckUdev:        "udev rule",
	CheckOtherDaemon: "Other daemons",
	CheckHolder:      "Interface in use",
	CheckDriver:      "Kernel driver",
	CheckSuspend:     "Autosuspend",
	CheckSocket:      "Socket",
	CheckControl:     "Control socket",
	CheckRecordDir:   "Record directory",
	CheckKeys:        "Private keys",
	CheckBUID:        "Host identity",
	CheckRecord:      "Pair record",
	CheckClock:       "Clock",
	CheckTrust:       "Trust",
	CheckLock:        "Lock",
	CheckDialog:      "Trust dialog",
	CheckDenial:      "Denial",
	CheckSupervision: "Management",
	CheckAccessory:   "Accessory restriction",
	CheckExpiry:      "Expiry",
}

// add notes a check. Its texts may hold foreign ones.
func (j *judge) add(id string, r Result, e Evidence, found, means, do string) {
	c := Check{
		ID: id, Title: titles[id], Result: r, Evidence: e,
		Found: clean(found, maxText), Means: clean(means, maxText), Do: clean(do, maxText),
	}
	if j.now != nil {
		c.Device = j.now.label()
	}
	j.checks = append(j.checks, finding{c, j.now})
}

// report draws the verdict.
func (j *judge) report() Report {
	r := Report{Checks: make([]Check, 0, len(j.checks)), Remedies: []Remedy{}}
	first := make(map[Result]*finding)
	count := make(map[Result]int)
	var notes []string
	var waiting *finding // being brought up: no problem, but not well yet either
	for i := range j.checks {
		c := &j.checks[i]
		r.Checks = append(r.Checks, c.Check)
		if count[c.Result]++; first[c.Result] == nil {
			first[c.Result] = c
		}
		if t := strings.ToLower(c.Title); c.Result == Note && !slices.Contains(notes, t) {
			notes = append(notes, t)
		}
		if c.Result == Note && c.ID == CheckTrust && waiting == nil {
			waiting = c
		}
	}
	d := cmp.Or(first[Problem], waiting, first[Unknown])
	if d == nil {
		r.Result = OK
		r.Verdict = "All is well: " + j.wellness() + "."
		if len(notes) > 0 {
			r.Verdict += " Worth a look: " + strings.Join(notes, ", ") + "."
		}
		return r
	}
	r.Result, r.Deciding = d.Result, d.ID
	r.Verdict = strings.TrimSpace(d.Found + " " + d.Do)
	if d.Device != "" {
		r.Verdict = d.Device + ": " + r.Verdict
	}
	switch d.Result {
	case Problem:
		if more := count[Problem] - 1; more > 0 {
			r.Verdict += fmt.Sprintf(" (%s above; this one comes first.)", plural(more, "more problem is", "more problems are"))
		}
		r.Remedies = ladder(d)
	case Unknown:
		r.Verdict = "Nothing wrong was found, but not everything could be looked at. " + r.Verdict
	}
	return r
}

// wellness says what works.
func (j *judge) wellness() string {
	if len(j.phones) == 1 {
		return j.phones[0].what() + " is ready to use"
	}
	return plural(len(j.phones), "phone is ready to use", "phones are ready to use")
}

// unseen gives the reason why something could not be looked at, or "".
func (j *judge) unseen(what string) string {
	for _, u := range j.f.Unseen {
		if u.What == what {
			return cmp.Or(clean(u.Why, 300), "unknown reason")
		}
	}
	return ""
}
