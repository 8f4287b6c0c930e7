package doctor

import (
	"slices"
	"strconv"
	"strings"

	"gomuxd/control/explain"
)

// Remedy is an explain.Remedy with names for JSON.
type Remedy struct {
	Name  string `json:"name"`
	Do    string `json:"do"`
	Price string `json:"price"`
}

// rungs says with which remedies the ladder begins and ends, by the check that
// decides. A check without has none: nothing at the phone mends it.
var rungs = map[string]struct{ from, to string }{
	CheckCable:     {"replug", "restart computer"},
	CheckCharging:  {"unlock", "update"},
	CheckMux:       {"replug", "update"},
	CheckRecovery:  {"restart phone", "erase"},
	CheckSuspend:   {"replug", "restart computer"},
	CheckRecord:    {"replug", "erase"},
	CheckTrust:     {"unlock", "erase"},
	CheckLock:      {"unlock", "erase"},
	CheckDialog:    {"unlock", "erase"},
	CheckDenial:    {"replug", "erase"},
	CheckAccessory: {"unlock", "erase"},
}

// ladder gives the remedies that make sense.
func ladder(d *finding) []Remedy {
	r, ok := rungs[d.ID]
	if !ok || d.ID == CheckCable && d.Evidence != CannotTell { // no USB at all, or another phone is there
		return []Remedy{}
	}
	class, version := "", ""
	if d.phone != nil && d.phone.dev != nil {
		class, version = d.phone.dev.Class, d.phone.dev.Version
	}
	var all []Remedy
	for _, m := range explain.Ladder(class, version) {
		all = append(all, Remedy(m))
	}
	at := func(name string) int {
		return slices.IndexFunc(all, func(m Remedy) bool { return m.Name == name })
	}
	from, to := max(at(r.from), 0), at(r.to)
	if to < from {
		to = len(all) - 1
	}
	return all[from : to+1]
}

// remedy writes one rung of the ladder.
func (p *printer) remedy(n int, m Remedy) {
	lead := strconv.Itoa(n) + ". "
	text := sentence(clean(m.Do, maxText))
	if price := clean(m.Price, maxText); price != "" {
		text += " Price: " + sentence(price)
	}
	p.wrap(strings.Repeat(" ", max(0, len("10. ")-len(lead)))+lead, text, 2)
}
