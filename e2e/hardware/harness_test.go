package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/bus"
)

var bin e2e.Binaries

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if testing.Short() {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "gomuxd-hardware-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if bin, err = e2e.Build(context.Background(), dir, true); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

const code = "471108"

// play is a person who does what the program says, at a virtual iPhone that the
// real daemon drives.
type play struct {
	t      *testing.T
	phone  *virtualphone.Phone
	report string // file
	cfg    *config
	acts   []act
	nobody bool // no person at all: the input ends at once

	in      *io.PipeWriter
	prompts chan string

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

// act is what the person does when the program says something with these words.
type act struct {
	words string
	do    func(p *play)
}

// at is what a person does at the iPhone.
func at(do ...func(*virtualphone.Phone) error) func(*play) {
	return func(p *play) {
		for _, f := range do {
			if err := f(p.phone); err != nil {
				p.t.Errorf("at the iPhone: %v", err)
			}
		}
	}
}

func pull(p *virtualphone.Phone) error    { p.Unplug(); return nil }
func plugIn(p *virtualphone.Phone) error  { _, err := p.Plug(); return err }
func lock(p *virtualphone.Phone) error    { return p.Lock() }
func unlock(p *virtualphone.Phone) error  { return p.Unlock(code) }
func typeIt(p *virtualphone.Phone) error  { return p.EnterPasscode(code) }
func forgets(p *virtualphone.Phone) error { p.ResetLocationAndPrivacy(); return nil }

// tap waits for the dialog and answers it.
func tap(trust bool) func(*virtualphone.Phone) error {
	return func(p *virtualphone.Phone) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if _, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == virtualphone.TrustDialog }); err != nil {
			return err
		}
		if trust {
			return p.TapTrust()
		}
		return p.TapDontTrust()
	}
}

// enter types a line.
func (p *play) enter(line string) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Errorf("nobody reads what is typed: %v", err)
	}
}

func enters(line string) func(*play) { return func(p *play) { p.enter(line) } }

func both(a, b func(*play)) func(*play) { return func(p *play) { a(p); b(p) } }

// asTold is a person who does all that the program says.
func asTold() []act {
	return []act{
		{"Unplug every", at(pull)},
		{"Unlock the iPhone and plug", at(plugIn)},
		{"Lock the iPhone", both(at(lock), enters(""))},
		{"Unlock the iPhone. It then asks", at(unlock)},
		{`Tap "Don't Trust"`, at(tap(false))},
		{"it then may ask anew", at(pull, plugIn)},
		{`Tap "Trust"`, both(at(tap(true)), enters(""))},
		{"Now type the passcode", at(typeIt)},
		{"go to the iPhone and back", func(*play) {}},
		{"Pull the cable", at(pull)},
		{"Plug the iPhone in again", at(plugIn)},
		{"The iPhone is not there", at(plugIn)},
	}
}

// but is acts with others in the place of those with the same words.
func but(acts []act, others ...act) []act { return append(others, acts...) }

// newPlay prepares a check with a virtual iPhone, beside others: they wait most
// of the time.
func newPlay(t *testing.T, phone virtualphone.Config, acts []act) *play {
	t.Helper()
	t.Parallel()
	return newSerialPlay(t, phone, acts)
}

// newSerialPlay is newPlay for a test that sets the environment.
func newSerialPlay(t *testing.T, phone virtualphone.Config, acts []act) *play {
	t.Helper()
	if testing.Short() {
		t.Skip("plays a whole check with the real daemon, not with -short")
	}
	dir := t.TempDir()
	p := &play{t: t, acts: acts, prompts: make(chan string, 64), report: filepath.Join(dir, "report.md")}
	var err error
	if p.phone, err = virtualphone.New(phone); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	b := bus.New([]*virtualphone.Phone{p.phone})
	go func() { ended <- b.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.phone.Close()
		if v := p.phone.Violations(); v.Total() > 0 {
			t.Errorf("the phone counted violations: %v %v", v, p.phone.ViolationNotes())
		}
	})
	if err := plugIn(p.phone); err != nil {
		t.Fatal(err)
	}
	p.cfg = &config{
		daemon:     bin.Daemon,
		daemonArgs: []string{"--virtual-phone-bus=" + l.Addr().String()},
		out:        p.report,
		size:       3<<20 + 17,
		spare:      1 << 20,
		limit:      2 * time.Minute, // on a busy machine
		grace:      time.Second,
		temp:       t.TempDir(),
		sysRoot:    t.TempDir(),
		systemd:    filepath.Join(dir, "none"),
	}
	return p
}

// Write implements io.Writer: it is the terminal that the person reads.
func (p *play) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasPrefix(string(b), "\n -> ") {
		p.prompts <- string(b)
	}
	return p.out.Write(b)
}

func (p *play) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// perform runs the check to its end and returns its exit code and report.
func (p *play) perform(ctx context.Context) (exit int, report string) {
	p.t.Helper()
	r, w := io.Pipe()
	p.in = w
	if p.nobody {
		w.Close()
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for prompt := range p.prompts {
			p.answer(prompt)
		}
	})
	exit = hardware(ctx, p.cfg, r, p)
	r.Close() // before wg.Wait: an answer that comes too late is nobody's
	close(p.prompts)
	wg.Wait()
	w.Close()
	if b, err := os.ReadFile(p.report); err == nil {
		report = string(b)
	}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("the screen:\n%s\nthe report:\n%s", p.screen(), report)
		}
	})
	return exit, report
}

func (p *play) answer(prompt string) {
	for _, a := range p.acts {
		if strings.Contains(prompt, a.words) {
			a.do(p)
			return
		}
	}
	p.t.Errorf("the person does not know what to do: %s", prompt)
}

// verdictOf finds a line of a report.
func verdictOf(t *testing.T, report, name string) (v verdict, value string) {
	t.Helper()
	for row := range strings.Lines(report) {
		cells := strings.Split(row, "|")
		if len(cells) == 5 && strings.TrimSpace(cells[2]) == name {
			return verdict(strings.TrimSpace(cells[1])), strings.TrimSpace(cells[3])
		}
	}
	t.Errorf("no line %q in the report", name)
	return "", ""
}

// want asserts a line of a report.
func want(t *testing.T, report, name string, v verdict, words string) {
	t.Helper()
	if got, value := verdictOf(t, report, name); got != v || !strings.Contains(value, words) {
		t.Errorf("%s: want %s with %q, got %s with %q", name, v, words, got, value)
	}
}
