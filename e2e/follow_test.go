package e2e_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// follow gives a program's output line by line; the channel closes at its end.
func follow(out io.Reader) <-chan string {
	lines := make(chan string, 4096)
	go func() { // ends with the program
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// await waits for a line that contains text.
func await(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the program ended before it said %q", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-end:
			t.Fatalf("the program did not say %q within a minute", text)
		}
	}
}
