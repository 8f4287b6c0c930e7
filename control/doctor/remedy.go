package doctor

import (
	"slices"
	"strconv"
	"strings"
)

// Remedy is a stand-in for explain.Remedy.
type Remedy struct {
	Name  string `json:"name"`
	Do    string `json:"do"`
	Price string `json:"price"`
}

func allRemedies(class, version string) []Remedy {
	return []Remedy{
		{"unlock", "Unlock the phone and leave it unlocked.", "nothing"},
		{"replug", "Pull the cable out, wait five seconds, plug it in again.", "nothing"},
		{"other port or cable", "Try another cable that carries data, and a port of the computer itself.", "a cable"},
		{"restart phone", "Restart the phone and unlock it.", "two minutes"},
		{"restart computer", "Restart the computer.", "your open work"},
		{"update", "Update iOS.", "half an hour"},
		{"reset location and privacy", "Settings > General > Transfer or Reset > Reset > Reset Location & Privacy.", "every computer loses trust"},
		{"reset network settings", "Reset Network Settings.", "Wi-Fi and VPN settings too"},
		{"reset all settings", "Reset All Settings.", "all settings"},
		{"erase", "Back up, then erase.", "everything that is not in the backup"},
	}
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
	all := allRemedies(class, version)
	at := func(name string) int {
		return slices.IndexFunc(all, func(m Remedy) bool { return strings.Contains(strings.ToLower(m.Name), name) })
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
