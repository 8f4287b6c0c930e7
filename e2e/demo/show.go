package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// show is the story's stage: the daemon, the phone, and where it is told.
type show struct {
	*screen
	rig   *e2e.Rig
	dir   string
	steps int
	udid  string
}

// step announces a step in plain words.
func (s *show) step(ctx context.Context, title, words string) {
	if s.steps > 0 {
		s.rest(ctx, 2200*time.Millisecond)
	}
	s.steps++
	s.chapter(s.steps, title)
	s.paragraph("", words)
	s.rest(ctx, 700*time.Millisecond)
}

// rest gives people who read along some time.
func (s *show) rest(ctx context.Context, d time.Duration) {
	if !s.slow {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// limit ends what hangs, also on a slow machine.
const limit = 2 * time.Minute

// command prepares a program that prints as on this screen.
func (s *show) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := s.rig.Command(ctx, name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(cmd.Env, "COLUMNS="+strconv.Itoa(s.width-outputIndent))
	if s.color {
		cmd.Env = append(cmd.Env, "CLICOLOR_FORCE=1")
	}
	return cmd
}

// run shows a command line and what the program prints; of that only what excerpt
// lets through, unless it is nil.
func (s *show) run(ctx context.Context, excerpt func(lines []string) []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.typed(strings.Join(append([]string{name}, args...), " "))
	s.rest(ctx, 400*time.Millisecond)
	out, err := s.command(ctx, name, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w (make setup installs the tools)", name, err)
	}
	if text := strings.TrimRight(string(out), "\n"); text != "" {
		lines := strings.Split(text, "\n")
		if excerpt != nil {
			lines = excerpt(lines)
		}
		for _, l := range lines {
			s.printed(l)
		}
	}
	s.rest(ctx, 500*time.Millisecond)
	return plain(string(out)), err
}

// says runs a program, which must succeed and say want.
func (s *show) says(ctx context.Context, want, name string, args ...string) error {
	out, err := s.run(ctx, nil, name, args...)
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return said(out, want, name, args)
}

// complains runs a program, which must fail and say want.
func (s *show) complains(ctx context.Context, want, name string, args ...string) error {
	out, err := s.run(ctx, nil, name, args...)
	if err == nil {
		return fmt.Errorf("%s %s succeeds; it should say %q", name, strings.Join(args, " "), want)
	}
	return said(out, want, name, args)
}

func said(out, want, name string, args []string) error {
	if !strings.Contains(out, want) {
		return fmt.Errorf("%s %s does not say %q", name, strings.Join(args, " "), want)
	}
	return nil
}

// person shows what the phone's owner does, and does it: one command of
// virtualphone each.
func (s *show) person(ctx context.Context, what string, deeds ...string) error {
	s.paragraph(cyan, "("+what+")")
	for _, deed := range deeds {
		if _, err := s.rig.Phone(ctx, strings.Fields(deed)...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	s.rest(ctx, 600*time.Millisecond)
	return nil
}

// await follows the daemon's events until the phone is as wanted.
func (s *show) await(ctx context.Context, what string, ok func(control.Device) bool) (control.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last control.Device
	there := errors.New("there")
	err := control.Dial(s.rig.Control()).Watch(ctx, func(e control.Event) error {
		if e.Type == control.Ready || e.Type == control.DeviceRemoved {
			return nil
		}
		if last = e.Device; ok(last) {
			return there
		}
		return nil
	})
	if errors.Is(err, there) {
		return last, nil
	}
	return last, fmt.Errorf("the phone is not %s within %v, but %q: %w", what, limit, last.Trust, err)
}

// becomes waits until the phone is in a state.
func (s *show) becomes(ctx context.Context, state trust.State) error {
	_, err := s.await(ctx, string(state), func(d control.Device) bool { return d.Trust == string(state) })
	return err
}

// follow runs a program that tells what people must do, and has them do it: each
// cue is something that the program says and what is then done. It must say all,
// in this order, and succeed.
func (s *show) follow(ctx context.Context, cues []cue, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	line := strings.Join(append([]string{name}, args...), " ")
	s.typed(line)
	cmd := s.command(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout // one pipe for both
	if err := cmd.Start(); err != nil {
		return err
	}
	sentence := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.printed(lines.Text())
		sentence = plain(sentence + " " + lines.Text())
		if !strings.HasSuffix(sentence, ".") {
			continue // it goes on in the next line
		}
		if len(cues) > 0 && strings.Contains(sentence, cues[0].says) {
			s.rest(ctx, 1700*time.Millisecond)
			if err = cues[0].then(); err != nil {
				cancel()
				break
			}
			cues = cues[1:]
		}
		sentence = ""
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("%s: %w", line, werr)
	}
	if err == nil && len(cues) > 0 {
		err = fmt.Errorf("%s does not say %q", line, cues[0].says)
	}
	return err
}

// cue is what a program says and what is then done.
type cue struct {
	says string
	then func() error
}

func (s *show) path(name string) string { return filepath.Join(s.dir, name) }
