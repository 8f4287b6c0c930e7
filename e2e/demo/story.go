package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// tell is the story.
func (s *show) tell(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.plugIn, s.unlock, s.dontTrust, s.trust, s.use, s.files, s.forward, s.reset, s.replug, s.untrust,
	}
	if s.slow {
		steps = []func(context.Context) error{s.plugIn, s.unlock, s.dontTrust, s.trust, s.use, s.reset, s.replug}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) plugIn(ctx context.Context) error {
	if _, err := s.rig.Phone(ctx, "lock"); err != nil {
		return err
	}
	s.step(ctx, "A locked iPhone is plugged in", "Every program sees it at once. muxctl says why it does not work yet, and what to do.")
	if err := s.person(ctx, "the cable is plugged in", "replug"); err != nil {
		return err
	}
	d, err := s.await(ctx, "attached", func(d control.Device) bool { return d.DeviceID != nil && d.UDID != nil })
	if err != nil {
		return err
	}
	s.udid = *d.UDID
	if err := s.says(ctx, s.udid, "idevice_id", "-l"); err != nil {
		return err
	}
	if err := s.becomes(ctx, trust.Locked); err != nil {
		return err
	}
	return s.says(ctx, "Unlock the iPhone", "muxctl", "list")
}

func (s *show) unlock(ctx context.Context) error {
	s.step(ctx, "Unlocked", "The daemon notices by itself, and has the phone ask its owner.")
	if err := s.person(ctx, `the owner unlocks it; "Trust This Computer?" comes up`, "unlock "+passcode, "wait dialog"); err != nil {
		return err
	}
	if err := s.becomes(ctx, trust.DialogShown); err != nil {
		return err
	}
	return s.says(ctx, "tap Trust", "muxctl", "status")
}

func (s *show) dontTrust(ctx context.Context) error {
	s.step(ctx, "Don't Trust", "A no is a no: the daemon stops asking, and says how to get another chance.")
	if err := s.person(ctx, "the owner taps Don't Trust", "tap dont-trust"); err != nil {
		return err
	}
	if err := s.becomes(ctx, trust.Denied); err != nil {
		return err
	}
	return s.says(ctx, "tapped Don't Trust", "muxctl", "status")
}

func (s *show) trust(ctx context.Context) error {
	s.step(ctx, "Another chance", "muxctl trust shows what the person at the phone must do, until it is done.")
	return s.follow(ctx, []cue{
		{"denied", func() error { return s.person(ctx, "the owner replugs it", "replug") }},
		{"dialog-shown", func() error {
			return s.person(ctx, "the owner taps Trust and enters the passcode", "tap trust", "passcode "+passcode)
		}},
		{"trusts this computer", func() error { return nil }},
	}, "muxctl", "trust")
}

func (s *show) use(ctx context.Context) error {
	s.step(ctx, "Trusted", "The daemon has paired, so everybody's tools work, unchanged.")
	if _, err := s.await(ctx, "in session", func(d control.Device) bool { return d.Capacity != nil }); err != nil {
		return err
	}
	if err := s.says(ctx, string(trust.Trusted), "muxctl", "list"); err != nil {
		return err
	}
	if err := s.says(ctx, "SUCCESS: Validated pairing with device "+s.udid, "idevicepair", "validate"); err != nil {
		return err
	}
	if err := s.says(ctx, "Virtual iPhone", "ideviceinfo", "-k", "DeviceName"); err != nil || s.slow {
		return err
	}
	return s.says(ctx, s.udid, "ideviceinfo", "-k", "UniqueDeviceID")
}

var errorCode = regexp.MustCompile(`\((-\d+)\)`)

func (s *show) reset(ctx context.Context) error {
	s.step(ctx, "Reset Location & Privacy", "The phone forgets every computer, and tells none of them.")
	if err := s.person(ctx, "the owner resets Location & Privacy", "reset location"); err != nil {
		return err
	}
	// -21, or -19 if the daemon has found out before and has the phone ask.
	out, err := s.run(ctx, nil, "ideviceinfo", "-k", "DeviceName")
	code := errorCode.FindStringSubmatch(out)
	if err == nil || code == nil {
		return fmt.Errorf("ideviceinfo names no error of a phone that has forgotten this computer")
	}
	if !s.slow {
		if err := s.says(ctx, code[1], "muxctl", "explain", code[1]); err != nil {
			return err
		}
	}
	if err := s.becomes(ctx, trust.DialogShown); err != nil {
		return err
	}
	if err := s.says(ctx, "it no longer knows this computer", "muxctl", "status"); err != nil {
		return err
	}
	if !s.slow {
		if err := s.doctor(ctx); err != nil {
			return err
		}
	}
	if err := s.person(ctx, "the owner taps Trust and enters the passcode", "tap trust", "passcode "+passcode); err != nil {
		return err
	}
	return s.becomes(ctx, trust.Trusted)
}

// doctor shows of a long report what is wrong, the verdict, and the cheapest remedy.
func (s *show) doctor(ctx context.Context) error {
	const problem, verdict, ladder = "PROBLEM", "Verdict", "What helps"
	out, err := s.run(ctx, func(lines []string) []string {
		at := func(head string) int {
			return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(plain(l), head) })
		}
		from, to := at(problem), at(ladder)
		if from < 0 || to < from {
			return lines
		}
		short := append([]string{fmt.Sprintf("... %d lines", from)}, lines[from:min(to+2, len(lines))]...)
		return append(short, fmt.Sprintf("... %d lines", max(len(lines)-to-2, 0)))
	}, "muxctl", "doctor")
	if err == nil {
		return fmt.Errorf("muxctl doctor finds nothing wrong")
	}
	for _, want := range []string{problem, verdict, "it no longer knows this computer", ladder} {
		if err := said(out, want, "muxctl", []string{"doctor"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) replug(ctx context.Context) error {
	const times = 10
	s.step(ctx, "Once trusted, never asked again", "Each replug is a new beginning for the daemon, none for the owner.")
	before, err := s.dialogs(ctx)
	if err != nil {
		return err
	}
	d, err := s.await(ctx, "attached", func(d control.Device) bool { return d.DeviceID != nil })
	if err != nil {
		return err
	}
	s.paragraph(cyan, fmt.Sprintf("(the cable is pulled and put back, %d times)", times))
	for range times {
		if _, err := s.rig.Phone(ctx, "replug"); err != nil {
			return err
		}
		last := *d.DeviceID
		d, err = s.await(ctx, "trusted", func(d control.Device) bool {
			return d.DeviceID != nil && *d.DeviceID > last && d.Trust == string(trust.Trusted)
		})
		if err != nil {
			return err
		}
	}
	after, err := s.dialogs(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("%d replugs raised %d dialogs on the phone", times, after-before)
	}
	s.paragraph("", fmt.Sprintf("Trusted after each of them; new dialogs on the phone: %d.", after-before))
	return s.says(ctx, "SUCCESS: Validated", "idevicepair", "validate")
}

func (s *show) untrust(ctx context.Context) error {
	s.step(ctx, "Untrust", "The pairing is ended on both sides.")
	if err := s.says(ctx, "", "muxctl", "untrust", "--yes", s.udid[:8]); err != nil {
		return err
	}
	if err := s.becomes(ctx, trust.NotAsked); err != nil {
		return err
	}
	return s.complains(ctx, "accept the trust dialog", "idevicepair", "validate")
}

// end sums up.
func (s *show) end(took time.Duration) {
	if s.slow {
		return
	}
	s.line("")
	s.line(s.paint(green, "All of it held") + fmt.Sprintf(", in %.0f s. The phone counted no mistake of the daemon; nothing is left behind.", took.Seconds()))
}
