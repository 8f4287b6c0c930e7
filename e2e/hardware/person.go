package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Why a step ended before its end.
var (
	errSkipped  = errors.New("skipped")
	errTimedOut = errors.New("nothing happened in time")
	errGone     = errors.New("the iPhone has gone: its cable was pulled, or it left the bus by itself")
	errAbsent   = errors.New("no iPhone came; a cable that only charges looks the same")
	errDaemon   = errors.New("the daemon has ended by itself: see the end of its log")
	errStopped  = errors.New("stopped")
	errStranger = errors.New("the iPhone does not trust this computer")
)

// person is whoever sits at the terminal, with the iPhone at hand.
type person struct {
	journal *journal
	mu      sync.Mutex // held while something is printed
	out     io.Writer
	tty     bool          // out is a terminal: lines may be written over
	lines   chan string   // what was typed; closed at the end of the input
	limit   time.Duration // for each thing that a person is asked to do
}

// newPerson reads what is typed until the input ends. Nothing can interrupt that
// reading, so its goroutine is waited for by nobody; the process ends it.
func newPerson(j *journal, in io.Reader, out io.Writer, limit time.Duration) *person {
	p := &person{journal: j, out: out, lines: make(chan string), limit: limit}
	if f, ok := out.(*os.File); ok {
		p.tty = term.IsTerminal(int(f.Fd()))
	}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			p.lines <- strings.TrimSpace(lines.Text())
		}
	}()
	return p
}

func (p *person) print(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format, args...)
}

// say prints a sentence below the step's title.
func (p *person) say(format string, args ...any) {
	p.print("   "+format+"\n", args...)
}

// title begins a step.
func (p *person) title(n, of int, title string) {
	p.print("\n%d of %d. %s\n", n, of, title)
	p.journal.add(titled(title))
}

// tell tells the person what to do and what there is beside doing it. What was
// typed before is no answer to it.
func (p *person) tell(text, otherwise string) {
	for done := false; !done; {
		select {
		case _, ok := <-p.lines:
			done = !ok
		default:
			done = true
		}
	}
	p.print("\n -> %s\n    (%s)\n", text, otherwise)
	p.journal.add(told(text))
}

// await waits until ready is true, which is asked after each new entry of the
// journal and with each line typed (nil if none was). It ends with errSkipped
// when the person types s, with errTimedOut after limit, with ready's error, and
// with ctx's.
func (p *person) await(ctx context.Context, limit time.Duration, ready func(line *string) (bool, error)) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	lines := p.lines
	var line *string
	for {
		_, grown := p.journal.since(0)
		if ok, err := ready(line); ok || err != nil {
			return err
		}
		line = nil
		select {
		case text, ok := <-lines:
			if !ok {
				lines = nil // nobody is there: the limit decides
				continue
			}
			p.journal.add(pressed(text))
			if strings.EqualFold(text, "s") {
				p.say("skipped")
				return errSkipped
			}
			line = &text
		case <-grown:
		case <-timeout.C:
			p.say("nothing came of it within %v", limit)
			return errTimedOut
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// quietly waits until ready is true, which is asked after each new entry of the
// journal, or for as long as limit: that it never is true is no error.
func (p *person) quietly(ctx context.Context, limit time.Duration, ready func() bool) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		_, grown := p.journal.since(0)
		if ready() {
			return nil
		}
		select {
		case <-grown:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// asks asks for yes or no; anything but yes is no, and so is silence.
func (p *person) asks(ctx context.Context, question string) (yes bool, err error) {
	p.tell(question, fmt.Sprintf("y and Enter for yes, Enter alone for no; no after %v", p.limit))
	err = p.await(ctx, p.limit, func(line *string) (bool, error) {
		if line == nil {
			return false, nil
		}
		yes = strings.HasPrefix(strings.ToLower(*line), "y")
		return true, nil
	})
	if errors.Is(err, errSkipped) || errors.Is(err, errTimedOut) {
		err = nil
	}
	return yes, err
}

// progress draws how far something has come, where it can be drawn over.
func (p *person) progress(format string, args ...any) {
	if p.tty {
		p.print("\r   "+format, args...)
	}
}

// drawn ends the line of progress.
func (p *person) drawn() {
	if p.tty {
		p.print("\r\x1b[K")
	}
}
