package doctor

import (
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

// rungs says with which remedy the ladder begins, by the check that decides. It
// has none for what no remedy at the phone can mend.
var rungs = map[string]string{
	CheckCable:     "replug",
	CheckCharging:  "unlock",
	CheckMux:       "replug",
	CheckRecovery:  "restart phone",
	CheckSuspend:   "replug",
	CheckRecord:    "replug",
	CheckTrust:     "unlock",
	CheckLock:      "unlock",
	CheckDialog:    "unlock",
	CheckDenial:    "replug",
	CheckAccessory: "unlock",
}

// ladder gives the remedies from the one on that makes sense.
func ladder(d *finding) []Remedy {
	from, ok := rungs[d.ID]
	if !ok {
		return []Remedy{}
	}
	class, version := "", ""
	if d.phone != nil && d.phone.dev != nil {
		class, version = d.phone.dev.Class, d.phone.dev.Version
	}
	all := allRemedies(class, version)
	for i, r := range all {
		if strings.Contains(strings.ToLower(r.Name), from) {
			return all[i:]
		}
	}
	return all
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
