package virtualphone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// order is one command of the control socket.
type order struct {
	args []string // names of the arguments; "[x]" may be left out, "a|b" is a choice, capitals are any text
	run  func(ctx context.Context, p *Phone, args []string) error
}

// orders are the commands that change the phone or wait for it.
var orders = map[string]order{
	"tap": {[]string{"trust|dont-trust|dismiss"}, func(_ context.Context, p *Phone, args []string) error {
		switch args[0] {
		case "trust":
			return p.TapTrust()
		case "dont-trust":
			return p.TapDontTrust()
		}
		return p.DismissDialog()
	}},
	"passcode": {[]string{"CODE|cancel"}, func(_ context.Context, p *Phone, args []string) error {
		if args[0] == "cancel" {
			return p.CancelPasscode()
		}
		return p.EnterPasscode(args[0])
	}},
	"lock": {nil, func(_ context.Context, p *Phone, _ []string) error { return p.Lock() }},
	"unlock": {[]string{"[CODE]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 0 {
			if !p.State().Locked {
				return nil
			}
			return errors.New("the phone is locked with a passcode: give it, unlock CODE")
		}
		return p.Unlock(args[0])
	}},
	"forget": {nil, func(_ context.Context, p *Phone, _ []string) error {
		p.ResetLocationAndPrivacy()
		return nil
	}},
	"reset": {[]string{"network|all|location"}, func(_ context.Context, p *Phone, args []string) error {
		switch args[0] {
		case "network":
			return p.ResetNetworkSettings()
		case "all":
			return p.ResetAllSettings()
		}
		p.ResetLocationAndPrivacy()
		return nil
	}},
	"expire": {nil, func(_ context.Context, p *Phone, _ []string) error {
		p.ExpirePairings()
		return nil
	}},
	"erase":        {nil, func(_ context.Context, p *Phone, _ []string) error { return p.EraseAll() }},
	"finish-setup": {nil, func(_ context.Context, p *Phone, _ []string) error { return p.FinishSetup() }},
	"set-passcode": {[]string{"CODE|off"}, func(_ context.Context, p *Phone, args []string) error {
		if args[0] == "off" {
			args[0] = ""
		}
		p.SetPasscode(args[0])
		return nil
	}},
	"reboot": {nil, func(_ context.Context, p *Phone, _ []string) error { return p.Reboot() }},
	"unplug": {[]string{"[PACKETS]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 0 {
			p.Unplug()
			return nil
		}
		n, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			return fmt.Errorf("%q is no number of packets", args[0])
		}
		p.UnplugAfter(int(n))
		return nil
	}},
	"replug": {nil, func(_ context.Context, p *Phone, _ []string) error {
		p.Unplug()
		_, err := p.Plug()
		return err
	}},
	"content": {[]string{"FILES", "MIB"}, func(_ context.Context, p *Phone, args []string) error {
		files, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			return fmt.Errorf("%q is no number of files", args[0])
		}
		size, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number of MiB", args[1])
		}
		return p.SetBackupContent(int(files), size<<20)
	}},
	"restore-mode": {[]string{"on|off"}, func(_ context.Context, p *Phone, args []string) error {
		return p.SetRestoreMode(args[0] == "on")
	}},
	"log": {[]string{"TEXT"}, func(_ context.Context, p *Phone, args []string) error {
		p.Logf("virtualphone", "%s", args[0])
		return nil
	}},
	"wait": {[]string{"dialog|passcode|gone|trusted|restricted|unplugged"}, func(ctx context.Context, p *Phone, args []string) error {
		_, err := p.Wait(ctx, waitFor[args[0]])
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("timed out waiting for %s; %s", args[0], describe(p.State()))
		}
		return err
	}},
	"status":     {nil, nil},
	"violations": {nil, nil},
}

// waitFor says when each wait is over.
var waitFor = map[string]func(State) bool{
	"dialog":     func(s State) bool { return s.Dialog != NoDialog },
	"passcode":   func(s State) bool { return s.Dialog == PasscodeDialog },
	"gone":       func(s State) bool { return s.Dialog == NoDialog },
	"trusted":    func(s State) bool { return len(s.Hosts) > 0 },
	"restricted": func(s State) bool { return s.USBRestricted },
	"unplugged":  func(s State) bool { return !s.Plugged },
}

// describe says in a few words why nothing happens.
func describe(s State) string {
	switch {
	case !s.Plugged:
		return "the phone is unplugged: replug it"
	case s.RestoreMode:
		return "the phone is in restore mode"
	case s.USBRestricted:
		return "the phone has been locked for so long that it refuses USB: unlock it"
	case s.Locked:
		return "the phone is locked: unlock it"
	case s.Setup:
		return "the phone is in setup, where it pairs without a dialog: finish-setup"
	case s.Dialog == TrustDialog:
		return "the trust dialog is shown: tap trust"
	case s.Dialog == PasscodeDialog:
		return "the passcode prompt is shown: passcode CODE"
	case s.Accepted:
		return "the owner has accepted, the host has not paired yet"
	case len(s.Hosts) > 0:
		return "the phone trusts a host already: forget it first"
	}
	return "no host has asked to pair"
}

// control carries out one request.
func control(ctx context.Context, m *ControlRequest, phones []*Phone) (ControlResponse, error) {
	o, ok := command(m.Command)
	if !ok {
		return ControlResponse{}, fmt.Errorf("unknown command %q", m.Command)
	}
	if err := o.check(m.Command, m.Args); err != nil {
		return ControlResponse{}, err
	}
	if m.Command == "status" && m.Phone == "" && len(phones) != 1 {
		a := ControlResponse{Phones: make([]State, 0, len(phones))}
		for _, p := range phones {
			a.Phones = append(a.Phones, p.State())
		}
		return a, nil
	}
	p, err := pick(phones, m.Phone)
	if err != nil {
		return ControlResponse{}, err
	}
	if m.Timeout != "" {
		d, err := time.ParseDuration(m.Timeout)
		if err != nil || d <= 0 {
			return ControlResponse{}, fmt.Errorf("timeout %q is no duration like 30s", m.Timeout)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if o.run != nil {
		if err := o.run(ctx, p, m.Args); err != nil {
			if errors.Is(err, ErrNoDialog) {
				err = fmt.Errorf("%w; %s", err, describe(p.State()))
			}
			return ControlResponse{}, err
		}
	}
	s, st := p.State(), p.Stats()
	a := ControlResponse{State: &s, Stats: &st, Violations: map[string]uint64{}, Notes: p.ViolationNotes()}
	v := p.Violations()
	v.each(func(name string, n *uint64) {
		if *n != 0 {
			a.Violations[name] = *n
		}
	})
	return a, nil
}

// check compares the arguments with what the command takes.
func (o *order) check(name string, args []string) error {
	usage := strings.TrimSpace(name + " " + strings.Join(o.args, " "))
	if len(args) > len(o.args) {
		return fmt.Errorf("too many arguments: usage: %s", usage)
	}
	for i, want := range o.args {
		if i >= len(args) {
			if strings.HasPrefix(want, "[") {
				break
			}
			return fmt.Errorf("missing argument: usage: %s", usage)
		}
		free := strings.ToLower(want) != want
		if want = strings.Trim(want, "[]"); !free && !slices.Contains(strings.Split(want, "|"), args[i]) {
			return fmt.Errorf("%q is not one of %s: usage: %s", args[i], want, usage)
		}
	}
	return nil
}

// pick finds the phone a request is for.
func pick(phones []*Phone, udid string) (*Phone, error) {
	var ids []string
	for _, p := range phones {
		if udid == p.UDID() || udid == p.Serial() && udid != "" {
			return p, nil
		}
		ids = append(ids, p.UDID())
	}
	switch {
	case len(phones) == 0:
		return nil, errors.New("there is no phone")
	case udid != "":
		return nil, fmt.Errorf("no phone %q; there are: %s", udid, strings.Join(ids, ", "))
	case len(phones) > 1:
		return nil, fmt.Errorf("there are several phones, name one with --phone: %s", strings.Join(ids, ", "))
	}
	return phones[0], nil
}

// CheckCommand reports what is wrong with a command and its arguments, before
// anything is sent.
func CheckCommand(name string, args []string) error {
	o, ok := command(name)
	if !ok {
		return fmt.Errorf("unknown command %q", name)
	}
	return o.check(name, args)
}

func command(name string) (order, bool) {
	if o, ok := orders[name]; ok {
		return o, true
	}
	o, ok := misbehaving[name]
	return o, ok
}

// Commands lists the names of all commands, sorted.
func Commands() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]order{orders, misbehaving} {
			for name := range m {
				if !yield(name) {
					return
				}
			}
		}
	})
}
