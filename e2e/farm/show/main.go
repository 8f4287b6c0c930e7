// Command show runs muxctl top on a farm of virtual phones, as somebody uses it who
// looks around: for the recording in the documents. It draws on standard output,
// which must be a terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"gomuxd/e2e"
	"gomuxd/e2e/farm"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "show:", err)
		os.Exit(1)
	}
}

// keys are what somebody presses, after looking for a while.
var keys = []struct {
	look time.Duration
	keys string
}{
	{6 * time.Second, "j"}, {2500 * time.Millisecond, "j"}, {2500 * time.Millisecond, "s"},
	{5 * time.Second, "/"}, {600 * time.Millisecond, "k"}, {200 * time.Millisecond, "i"}, {200 * time.Millisecond, "o"}, {200 * time.Millisecond, "s"}, {200 * time.Millisecond, "k"},
	{500 * time.Millisecond, "\r"}, {3 * time.Second, "c"}, {2 * time.Second, "\x1b"}, {1500 * time.Millisecond, "?"}, {4 * time.Second, " "}, {2 * time.Second, "q"},
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "gomuxd-show-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := e2e.Build(ctx, dir, false)
	if err != nil {
		return err
	}
	f, err := farm.Start(bin, dir, 32)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f.Transfer(ctx, 3_000_000, 0, 2, 6, 8, 9, 11, 12, 13, 16, 17, 20, 24)
	time.Sleep(20 * time.Second) // all have been asked, and most have trusted
	keyboard, tty, err := farm.Terminal(100, 28)
	if err != nil {
		return err
	}
	defer keyboard.Close()
	defer tty.Close()
	// Top does that with the terminal that it reads from, which is another here.
	was, err := term.MakeRaw(int(os.Stdout.Fd()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, term.Restore(int(os.Stdout.Fd()), was)) }()
	cmd := f.Command(ctx, "muxctl", "top")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, k := range keys {
		time.Sleep(k.look)
		if _, err := keyboard.WriteString(k.keys); err != nil {
			return err
		}
	}
	return cmd.Wait()
}
