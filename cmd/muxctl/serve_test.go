package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestServeRefuses asserts that nobody opens the page to others, or throws its
// token away, by mistake.
func TestServeRefuses(t *testing.T) {
	l := newLab(t)
	short := filepath.Join(l.dir, "short")
	if err := os.WriteFile(short, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"--listen 0.0.0.0:0", "--allow-remote"},
		{"--listen :0", "--allow-remote"},
		{"--listen [::]:0", "--allow-remote"},
		{"--listen 0.0.0.0:0 --allow-remote --actions", "in the clear"},
		{"--token-file x", "--actions"},
		{"--actions --token-file " + short, "remove the file"},
	} {
		if code, out, errOut := l.run(append([]string{"serve"}, strings.Fields(tt.args)...)...); code != exitUsage || out != "" || !strings.Contains(errOut, tt.want) {
			t.Errorf("serve %s = %d, %q, %q; want %q", tt.args, code, out, errOut, tt.want)
		}
	}
	if code, _, errOut := l.run("serve", "--listen", "127.0.0.1:99999"); code != exitFailed || !strings.Contains(errOut, "--listen") {
		t.Errorf("no such port = %d, %q", code, errOut)
	}
}

// TestServe asserts that serve says where it is, keeps its token over restarts,
// waits for a daemon, and ends when it is told to.
func TestServe(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(l.dir, "token")
	var tokens []string
	for range 2 {
		l.out.reset() // of the link of the last time
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			code, _, _ := l.runContext(ctx, "serve", "--listen", "127.0.0.1:0", "--actions", "--token-file", file)
			done <- code
		}()
		link := regexp.MustCompile(`(http://\S+/)#token=(\S+)`)
		var m []string
		for deadline := time.Now().Add(patience); m == nil; {
			if time.Now().After(deadline) {
				t.Fatal("no link was printed")
			}
			m = link.FindStringSubmatch(l.out.String())
			pause(t.Context(), time.Millisecond)
		}
		tokens = append(tokens, m[2])
		resp, err := http.Get(m[1] + "api/state")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), `"connected":false`) {
			t.Errorf("without a daemon it shows %s", body)
		}
		stop()
		if code := <-done; code != exitOK {
			t.Errorf("serve ended with %d, %q", code, l.errOut.String())
		}
	}
	if tokens[0] != tokens[1] {
		t.Errorf("the token changed from %s to %s", tokens[0], tokens[1])
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
}
