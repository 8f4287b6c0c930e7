package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

func (a *app) trustCommand() *cobra.Command {
	var (
		touch   bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "trust [DEVICE]",
		Short: "Ask a device to trust this computer, and see it through",
		Long: `Trust has the device ask its owner, also after an earlier "Don't Trust", and
shows what the person at the device must do, until it trusts this computer or
refuses. A device that is said to trust it already is asked whether it still does.
Without DEVICE it means the only one that is plugged in.

With --touch nothing is asked: a session with a trusted device renews the time of
its last use, after which it forgets this computer in 30 days.

With --json every change is printed as one line, a device; the last one is the
result. Exit code 6 says that the person or the device refused, 7 that the time
was over.`,
		Example: `  muxctl trust
  muxctl trust "Anna's iPhone" --timeout 2m
  muxctl trust 00008110 --touch`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < 0 {
				return usagef("the timeout is negative")
			}
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			c := a.api()
			d, err := chosen(ctx, c, args)
			if err != nil {
				return lacking(err, "asking for trust")
			}
			if touch {
				return a.touch(ctx, c, d)
			}
			if keepsTrust(d) {
				// All but silence is seen through. Who may not have the device
				// asked is told what the daemon knows.
				if _, err := a.prove(ctx, c, d, control.TrustRequest{}); exitCode(err) == exitTimeout || ctx.Err() != nil {
					return err
				}
			}
			return a.seeThrough(ctx, c, d)
		},
	}
	cmd.Flags().BoolVar(&touch, "touch", false, "renew the time of last use; ask nothing")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after `DURATION`, such as 2m; default never")
	return cmd
}

// lacking adds to an error what it means that there is no control socket.
func lacking(err error, what string) error {
	if errors.Is(err, control.ErrNoDaemon) {
		return fmt.Errorf("%s needs the control socket of this project's daemon: %w", what, err)
	}
	return err
}

// errDone ends watching: what was waited for has come.
var errDone = errors.New("done")

// seeing follows one phone from the request until it is decided.
type seeing struct {
	a    *app
	c    api
	want control.Device // with the UDID, once it is known
	last control.Device // as it was told last

	asked bool // the request is under way
	told  bool // something has been shown
	here  bool // it is plugged in
}

// seeThrough asks and shows what follows.
func (a *app) seeThrough(ctx context.Context, c api, d control.Device) error {
	s := &seeing{a: a, c: c, want: d, last: d}
	var deadline time.Time // for the daemon to come back, zero while it is there
	for {
		err := s.follow(ctx)
		switch {
		case errors.Is(err, errDone):
			return nil
		case ctx.Err() != nil:
			return s.late(ctx)
		case errors.Is(err, errAway):
			return codef(exitNoSuch, "%s was unplugged and has not come back: plug it in and run this again", title(s.last))
		case errors.Is(err, errStillNo):
			return refused(s.last)
		case decided(err):
			return err
		}
		// The daemon has gone. It may be restarting.
		if deadline.IsZero() {
			deadline = a.now().Add(a.patience)
			fmt.Fprintln(a.stderr, "muxctl: the daemon has gone, waiting for it to come back")
		}
		if a.now().After(deadline) {
			return lacking(err, "asking for trust")
		}
		if !pause(ctx, a.lull) {
			return s.late(ctx)
		}
		s.asked = false
		if _, err := c.Devices(ctx); err == nil {
			deadline = time.Time{}
		}
	}
}

// late says what was not done in time.
func (s *seeing) late(ctx context.Context) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Canceled
	}
	next := oneLine(s.last.NextStep)
	if next == "" {
		next = "run this again, or \"muxctl doctor\""
	}
	return codef(exitTimeout, "%s does not trust this computer yet, the time is over (%s): %s", title(s.last), s.last.Trust, next)
}

var (
	errAway    = errors.New("the phone is away")
	errStillNo = errors.New("the phone still says no")
)

// decided reports whether an error is an answer, not a daemon that has gone.
func decided(err error) bool {
	var (
		answer *control.Error
		coded  *codeError
	)
	if errors.As(err, &answer) {
		return answer.Code != control.CodeBusy && answer.Code != control.CodeSlow
	}
	return errors.As(err, &coded) || exitCode(err) == exitForbidden
}

// follow watches the daemon's events until the phone has decided, or the daemon
// goes.
func (s *seeing) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(time.Hour, func() {})
	defer func() { timer.Stop() }()
	limit := func(d time.Duration, cause error) {
		timer.Stop()
		timer = time.AfterFunc(d, func() { cancel(cause) })
	}
	s.here = false
	err := s.c.Watch(ctx, func(e control.Event) error {
		switch {
		case e.Type == control.Ready:
			if !s.here {
				limit(s.a.patience, errAway)
				s.tellAway()
			}
			return nil
		case !same(e.Device, s.want):
			return nil
		case e.Type == control.DeviceRemoved:
			s.here, s.asked = false, false
			limit(s.a.patience, errAway)
			s.tellAway()
			return nil
		}
		timer.Stop()
		s.here = true
		d := e.Device
		if d.Name == "" {
			d.Name = s.last.Name // it has not told it yet
		}
		if udidOf(d) != "" {
			s.want = d
		}
		if !s.asked && !good(d) {
			if err := hopeless(d); err != nil {
				return err
			}
			if udidOf(d) == "" {
				s.tell(d) // still connecting
				return nil
			}
			var err error
			if d, err = s.ask(ctx, d); err != nil {
				return err
			}
			if refuses(d) {
				s.tell(d)
				limit(s.a.grace, errStillNo) // an answer from before; the next one counts
				return nil
			}
		}
		v := verdict(d)
		if v == nil || errors.Is(v, errDone) || s.a.json {
			s.tell(d) // a refusal is told at the end
		}
		return v
	})
	if cause := context.Cause(ctx); errors.Is(cause, errAway) || errors.Is(cause, errStillNo) {
		return cause
	}
	return err
}

// ask has the phone ask its owner.
func (s *seeing) ask(ctx context.Context, d control.Device) (control.Device, error) {
	var err error
	if d.Trust == string(trust.Denied) {
		d, err = s.c.AskAgain(ctx, udidOf(d))
	} else {
		d, err = s.c.Trust(ctx, udidOf(d), control.TrustRequest{})
	}
	s.asked = err == nil
	return d, err
}

// tell shows how the phone stands, if that is new.
func (s *seeing) tell(d control.Device) {
	old := s.last
	s.last = d
	if s.told && old.Trust == d.Trust && old.Reason == d.Reason && old.NextStep == d.NextStep {
		return
	}
	if s.asked && d.Trust == string(trust.NotAsked) {
		return // the request is on its way
	}
	if s.told && !s.a.json && d.Trust == string(trust.Connecting) {
		return // on its way back
	}
	s.told = true
	if s.a.json {
		_ = s.a.printLine(d)
		return
	}
	st := s.a.style()
	text := oneLine(d.NextStep)
	if text == "" {
		text = oneLine(d.Reason)
	}
	if good(d) {
		text = title(d) + " trusts this computer."
	} else {
		text = strings.TrimSuffix(title(d)+": "+text, ": ")
	}
	showChange(s.a.stdout, d.Trust, text, st)
}

func (s *seeing) tellAway() {
	if s.a.json {
		return
	}
	showChange(s.a.stdout, "unplugged", title(s.last)+": plug it in again.", s.a.style())
}

// stateColumn is the width of the longest state's name.
const stateColumn = 20

// showChange prints a state and what is to be done, wrapped beside it.
func showChange(w io.Writer, state, text string, s style) {
	if s.width < 60 {
		fmt.Fprintln(w, s.paint(hue(state), state))
		for _, l := range wrap(text, s.width-2) {
			fmt.Fprintln(w, "  "+l)
		}
		return
	}
	for i, l := range wrap(text, s.width-stateColumn-2) {
		head := pad("", stateColumn)
		if i == 0 {
			head = s.paint(hue(state), state) + pad("", stateColumn-width(state))
		}
		fmt.Fprintln(w, head+"  "+l)
	}
}

func good(d control.Device) bool {
	switch trust.State(d.Trust) {
	case trust.Trusted, trust.Expiring, trust.NoLockdown:
		return true
	}
	return false
}

// settled reports that there is nothing to be done for a device.
func settled(d control.Device) bool { return good(d) && d.Trust != string(trust.Expiring) }

// verdict is nil while the phone has not decided.
func verdict(d control.Device) error {
	switch trust.State(d.Trust) {
	case trust.Trusted, trust.Expiring, trust.NoLockdown:
		return errDone
	}
	if refuses(d) {
		return refused(d)
	}
	return hopeless(d)
}

// refuses reports that the device's last answer was no.
func refuses(d control.Device) bool {
	switch trust.State(d.Trust) {
	case trust.Denied, trust.PairingProhibited, trust.SupervisedChallenge:
		return true
	}
	return false
}

// hopeless is the error for a device that cannot be asked at all.
func hopeless(d control.Device) error {
	switch trust.State(d.Trust) {
	case trust.ChargingOnly, trust.NoMux, trust.Recovery, trust.DFU, trust.RestoreMode:
		return codef(exitRefused, "%s cannot be asked (%s): %s", title(d), d.Trust, sentence(d))
	}
	return nil
}

func refused(d control.Device) error {
	return codef(exitRefused, "%s refuses (%s): %s", title(d), d.Trust, sentence(d))
}

func sentence(d control.Device) string {
	s := oneLine(d.Reason + " " + d.NextStep)
	if s == "" {
		s = "run \"muxctl explain " + d.Trust + "\""
	}
	return s
}

// keepsTrust reports that a device is said to trust this computer and to keep a
// pairing for it, which it may have lost.
func keepsTrust(d control.Device) bool {
	return good(d) && udidOf(d) != "" && d.Trust != string(trust.NoLockdown)
}

// touch has a session renew the time of last use, and says until when that lasts.
func (a *app) touch(ctx context.Context, c api, d control.Device) error {
	if !good(d) {
		return codef(exitRefused, "%s is not trusted (%s), so there is nothing to renew: %s", title(d), d.Trust, sentence(d))
	}
	if !keepsTrust(d) {
		return codef(exitRefused, "%s keeps no pairing that could lapse: leave it, it works as it is", title(d))
	}
	r, err := a.prove(ctx, c, d, control.TrustRequest{Touch: true})
	if err != nil {
		return err
	}
	if a.json {
		d, err := c.Device(ctx, udidOf(d))
		if err != nil {
			return err
		}
		return a.printLine(d)
	}
	text := title(d) + ": the time of last use is renewed"
	if r.ExpiresInDays != nil {
		text += fmt.Sprintf("; unused, it expires %s (an estimate)", days(*r.ExpiresInDays))
	}
	fmt.Fprintln(a.stdout, text+".")
	return nil
}

// prove has the daemon open a session with a device that is said to trust this
// computer: it may have been reset meanwhile. It waits until the session shows in
// the record, which it returns.
func (a *app) prove(ctx context.Context, c api, d control.Device, req control.TrustRequest) (control.Record, error) {
	udid := udidOf(d)
	begin := a.now()
	since := begin.Truncate(time.Second) // the daemon keeps no fractions
	if _, err := c.Trust(ctx, udid, req); err != nil {
		return control.Record{}, err
	}
	for {
		r, err := c.Record(ctx, udid)
		if err == nil && r.LastUsed != nil && !r.LastUsed.Before(since) {
			return r, nil
		}
		now, lost := c.Device(ctx, udid)
		if lost == nil && !good(now) {
			return r, codef(exitRefused, "%s does not trust this computer any more (%s): %s", title(now), now.Trust, sentence(now))
		}
		if err = cmp.Or(err, lost); err != nil && ctx.Err() == nil {
			return r, err
		}
		if a.now().Sub(begin) > a.patience {
			return r, codef(exitTimeout, "%s has not answered: unlock it and try again", title(d))
		}
		if !pause(ctx, a.lull) {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return r, codef(exitTimeout, "%s has not answered in time: unlock it and try again", title(d))
			}
			return r, ctx.Err()
		}
	}
}

// pause waits, and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
