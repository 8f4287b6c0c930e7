package explain

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
)

// causes are all that a state may come with: the causes of package trust, those
// of the daemon, and lockdownd's names.
func causes() []string {
	all := []string{
		"", trust.CauseSilent, trust.CauseGarbage, trust.CauseRefused, trust.CauseBroken, trust.CauseTLS, trust.CauseDeviceKey,
		trust.CauseIncomplete, trust.CauseUnreadable, trust.CauseDisk, trust.CauseNoRecord, trust.CauseUnused, trust.CauseBUID,
		trust.CausePolicyAsk, trust.CausePolicyNever, trust.CauseUnpairedHere, trust.CauseTimedOut, trust.CauseLockedAway,
		causePermission, causeClaimed, causeUSB, causeVersion, causeStuck, causeLeft, "MCChallengeFailed", strings.Repeat("\x1b[31mDärf ", 99),
	}
	for _, n := range errorNames {
		all = append(all, string(n))
	}
	return all
}

// errorNames are all constants of type lockdown.ErrorName, read in its source so
// that none is forgotten here.
var errorNames = func() (all []lockdown.ErrorName) {
	source, err := os.ReadFile("../../lockdown/errors.go")
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(`\bErr\w+\s+ErrorName = "(\w+)"`).FindAllSubmatch(source, -1) {
		all = append(all, lockdown.ErrorName(m[1]))
	}
	return all
}()

var muxctl = regexp.MustCompile(`muxctl\s+([a-z]+)(?:\s+([a-z]+))?`)

// checkText holds what is true of every text of this package.
func checkText(t *testing.T, what, text string) {
	t.Helper()
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		t.Errorf("%s is empty", what)
	case n > 300:
		t.Errorf("%s has %d characters, want at most 300: %s", what, n, text)
	case !strings.HasSuffix(text, "."):
		t.Errorf("%s does not end with a full stop: %s", what, text)
	case strings.Contains(text, "%!"), strings.Contains(text, "  "), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }):
		t.Errorf("%s is malformed: %q", what, text)
	}
	for _, m := range muxctl.FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"list", "status", "trust", "untrust", "watch", "records", "doctor", "explain", "reset"}, m[1]) {
			t.Errorf("%s names the command %q, which is none", what, m[0])
		}
		if m[1] == "records" && !slices.Contains([]string{"list", "show", "restore", "export", "import"}, m[2]) {
			t.Errorf("%s names the command %q, which is none", what, m[0])
		}
	}
}

// TestStateAlways tries every state with every fact that texts look at.
func TestStateAlways(t *testing.T) {
	if len(states) != len(trust.States()) {
		t.Errorf("texts for %d states, want %d", len(states), len(trust.States()))
	}
	for _, s := range append(trust.States(), "", "no-such-state", trust.State(strings.Repeat("\x00ä", 999))) {
		for _, class := range []string{"", "iPhone", "Watch", "RealityDevice"} {
			for _, version := range []string{"", "6.1", "10.3", "14.8", "17.5", "26.1"} {
				for _, cause := range causes() {
					for i, name := range []string{"", strings.Repeat("N", 32)} {
						reason, next := State(s, Facts{Name: name, Class: class, Version: version, Cause: cause, Days: i * 29})
						checkText(t, "reason of "+string(s)+" "+cause, reason)
						checkText(t, "next step of "+string(s)+" "+cause, next)
						if t.Failed() {
							return
						}
					}
				}
			}
		}
	}
}

func TestState(t *testing.T) {
	for _, tt := range []struct {
		name         string
		state        trust.State
		facts        Facts
		reason, next string // parts
		not          string // in neither
	}{
		{"trusted", trust.Trusted, Facts{Class: "iPhone"}, "The iPhone trusts this computer.", "Nothing to do.", ""},
		{"ipad", trust.Denied, Facts{Class: "iPad"}, "on the iPad", "plug it in again", "iPhone"},
		{"by its class throughout", trust.ServiceLimit, Facts{Class: "iPad"}, "talk to the iPad", "restart the iPad", "device"},
		{"name of a phrase", trust.NotAsked, Facts{Name: "the device", Class: "iPad"}, "The iPad", `muxctl trust "the device"`, ""},
		{"watch", trust.Locked, Facts{Class: "Watch"}, "The Watch is locked", "Unlock the Watch", ""},
		{"else", trust.Locked, Facts{Class: "AppleTV"}, "The device is locked", "Unlock the device", ""},
		{"slow dialog", trust.DialogShown, Facts{Class: "iPhone", Version: "26.0.1"}, "asks whether", "10 to 30 seconds", "again"},
		{"quick dialog", trust.DialogShown, Facts{Class: "iPhone", Version: "17.5"}, "asks whether", "tap Trust and enter the passcode.", "seconds"},
		{"watch's version is another", trust.DialogShown, Facts{Class: "Watch", Version: "26.0"}, "asks whether", "tap Trust", "seconds"},
		{"no passcode", trust.DialogShown, Facts{Class: "iPhone", Version: "10.3.3"}, "asks whether", "then tap Trust.", "passcode"},
		{"no dialog", trust.NotAsked, Facts{Class: "iPhone", Version: "6.1.6"}, "has not been asked", "asks nothing on its screen", "tap Trust"},
		{"no dialog, locked", trust.Locked, Facts{Class: "iPod", Version: "5.1.1"}, "takes no new computer", "Unlock the device", "tap Trust"},
		{"no dialog, forgotten", trust.ForgottenByPhone, Facts{Class: "iPad", Version: "5.1.1", Cause: "InvalidHostID"}, "no longer knows", "muxctl trust", "tap Trust"},
		{"no dialog, broken", trust.RecordBroken, Facts{Class: "iPhone", Version: "4.2", Cause: trust.CauseTLS}, "no longer works", "muxctl records restore", "tap Trust"},
		{"a watch has a dialog", trust.Locked, Facts{Class: "Watch", Version: "6.3"}, "cannot ask", "tap Trust", "asks nothing"},
		{"unused", trust.ForgottenByPhone, Facts{Class: "iPhone", Version: "17.5", Cause: trust.CauseUnused}, "30 days", "tap Trust", "months"},
		{"unused, old", trust.ForgottenByPhone, Facts{Class: "iPhone", Version: "10.3", Cause: trust.CauseUnused}, "six months", "tap Trust", "30"},
		{"why again", trust.DialogShown, Facts{Cause: "InvalidHostID"}, "asks again", "Trust", ""},
		{"why unused", trust.DialogShown, Facts{Cause: trust.CauseUnused}, "forgotten this computer", "Trust", ""},
		{"why buid", trust.DialogShown, Facts{Cause: trust.CauseBUID}, "another computer", "Trust", ""},
		{"why tls", trust.DialogShown, Facts{Cause: trust.CauseTLS}, "no longer works", "Trust", ""},
		{"menu", trust.AnswerNotAccepted, Facts{Class: "iPhone", Version: "15.0"}, "", "Settings > General > Transfer or Reset iPhone > Reset > Reset Location & Privacy", ""},
		{"old menu", trust.AnswerNotAccepted, Facts{Class: "iPhone", Version: "14.8.1"}, "", "Settings > General > Reset > Reset Location & Privacy", ""},
		{"no menu", trust.AnswerNotAccepted, Facts{Class: "AppleTV", Version: "17.0"}, "", "muxctl doctor", "Settings"},
		{"permission", trust.NoMux, Facts{Cause: causePermission}, "does not let the daemon", "muxctl doctor", ""},
		{"claimed", trust.NoMux, Facts{Cause: causeClaimed}, "Another program", "muxctl doctor", ""},
		{"takes nothing", trust.NoMux, Facts{Cause: causeStuck}, "takes nothing", "Wait a minute", ""},
		{"left alone", trust.NoMux, Facts{Cause: causeLeft}, "is left alone now", "muxctl reset", ""},
		{"days", trust.Expiring, Facts{Days: 3}, "in about 3 days", "muxctl trust --touch", ""},
		{"a day", trust.Expiring, Facts{Days: 1}, "in about a day", "muxctl trust --touch", ""},
		{"soon", trust.Expiring, Facts{}, "forget it soon", "muxctl trust --touch", ""},
		{"restore", trust.RecordBroken, Facts{Cause: trust.CauseUnreadable}, "damaged", "muxctl records restore", ""},
		{"named", trust.NotAsked, Facts{Name: "Anna\u2019s iPhone"}, "", "muxctl trust \"Anna\u2019s iPhone\"", ""},
		{"evil", trust.NotAsked, Facts{Name: "$(reboot)"}, "", `"muxctl trust"`, "reboot"},
		{"option", trust.NotAsked, Facts{Name: "--all"}, "", `"muxctl trust"`, "--all"},
		{"other error", trust.NotAnswering, Facts{Cause: "MissingKey"}, "MissingKey", "restart", ""},
		{"unknown", "lost", Facts{}, `"lost"`, "muxctl doctor", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reason, next := State(tt.state, tt.facts)
			if !strings.Contains(reason, tt.reason) || !strings.Contains(next, tt.next) || tt.not != "" && strings.Contains(reason+next, tt.not) {
				t.Errorf("State(%s, %+v) = %q, %q; want %q, %q, without %q", tt.state, tt.facts, reason, next, tt.reason, tt.next, tt.not)
			}
		})
	}
}
