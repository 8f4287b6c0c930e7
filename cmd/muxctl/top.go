package main

import (
	"context"
	"errors"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"gomuxd/control"
	"gomuxd/control/observer"
)

func (a *app) topCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Show all phones in the terminal, live",
		Long: `Top shows every phone that is plugged in, those first that need someone: its state,
open connections, and how fast bytes flow. Below the list it says of one phone what
is the case and what to do next.

Keys: arrows or j and k choose a phone, / filters, s sorts, t has the phone ask for
trust, R resets it over USB, O has the daemon open it anew, c copies the UDID (by
OSC 52, also from a computer that you are logged in to), ? shows all keys, q quits.

A daemon that goes is waited for.`,
		Example: `  muxctl top
  NO_COLOR=1 muxctl top
  ssh -t farm muxctl top`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.top(cmd.Context()) },
	}
}

const (
	topPace = 500 * time.Millisecond // between two pictures
	topTick = 2 * time.Second        // between two points of a sparkline
)

// top runs until the person quits or ctx ends.
func (a *app) top(ctx context.Context) error {
	if !a.isTerminal(a.stdin) || !a.isTerminal(a.stdout) || a.env("TERM") == "dumb" {
		return usagef(`top needs a terminal that it can draw on: "muxctl list" and "muxctl watch" print lines, also into files and pipes`)
	}
	c := a.api()
	o := observer.New(c)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { o.Run(ctx) })
	m := newTop(a.style())
	m.look = func(version uint64, changed <-chan struct{}) tea.Cmd { return topLook(ctx, o, version, changed) }
	m.do = func(action, ref string) tea.Cmd { return topDo(ctx, c, action, ref) }
	m.copy = func(text string) tea.Cmd {
		return tea.Sequence(tea.SetClipboard(text), func() tea.Msg { return topNote("Copied " + text + ", if this terminal lets programs do that.") })
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(a.stdin), tea.WithOutput(a.stdout), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // told to end
	}
	return err
}

// Messages to the model.
type (
	topView struct { // what is new
		observer.View
		changed <-chan struct{} // closed when there is more
	}
	topTime time.Time // the time goes on
	topNote string    // how a deed went
)

// topLook waits for something new.
func topLook(ctx context.Context, o *observer.Observer, version uint64, changed <-chan struct{}) tea.Cmd {
	return func() tea.Msg {
		if changed != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			if !pause(ctx, topPace) {
				return nil
			}
		}
		changed := o.Changed()
		return topView{o.Since(version), changed}
	}
}

func topDo(ctx context.Context, c api, action, ref string) tea.Cmd {
	return func() tea.Msg {
		var d control.Device
		var err error
		done := ""
		switch action {
		case "trust":
			d, err = c.Trust(ctx, ref, control.TrustRequest{})
			done = " is asked. Look at the phone."
		case "reset":
			d, err = c.Reset(ctx, ref)
			done = " was reset."
		case "reopen":
			d, err = c.Reopen(ctx, ref)
			done = " was opened anew."
		}
		if err != nil {
			return topNote(oneLine(err.Error()))
		}
		return topNote(title(d) + done)
	}
}

// Init implements tea.Model.
func (m topModel) Init() tea.Cmd { return tea.Batch(m.look(0, nil), topNext()) }

func topNext() tea.Cmd {
	return tea.Tick(topTick, func(t time.Time) tea.Msg { return topTime(t) })
}
