// Command recording runs a program on a terminal of its own and writes what is
// seen there as an animated SVG, for README.md: one file, no script, nothing to
// load, and text that stays text. It is a module of its own, so that the terminal
// that it emulates is no dependency of the daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/creack/pty"
)

func main() {
	out := flag.String("o", "recording.svg", "write to `FILE`")
	title := flag.String("title", "", "words above the terminal")
	cols := flag.Int("cols", 80, "width of the terminal")
	rows := flag.Int("rows", 24, "height of the terminal")
	idle := flag.Duration("idle", 4*time.Second, "shorten pauses to this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, *title, *cols, *rows, *idle, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, title string, cols, rows int, idle time.Duration, command []string) error {
	if len(command) == 0 || cols < 1 || rows < 1 {
		return errors.New("usage: recording [OPTIONS] COMMAND [ARGUMENT...]")
	}
	prints, err := record(ctx, cols, rows, command)
	if err != nil {
		return err
	}
	m := film(prints, cols, rows, idle)
	svg := draw(m, title)
	if err := os.WriteFile(out, svg, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f s, %d KiB\n", out, m.length.Seconds(), (len(svg)+1023)/1024)
	return nil
}

// print is what a program has written at once.
type print struct {
	at   time.Duration // since its start
	text []byte
}

// record runs a command, which must succeed. What it prints goes to standard
// output, too.
func record(ctx context.Context, cols, rows int, command []string) ([]print, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	begin := time.Now()
	var prints []print
	buf := make([]byte, 32<<10)
	for {
		n, err := tty.Read(buf)
		if n > 0 {
			prints = append(prints, print{time.Since(begin), append([]byte(nil), buf[:n]...)})
			_, _ = os.Stdout.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // how Linux tells the end
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return prints, nil
}
