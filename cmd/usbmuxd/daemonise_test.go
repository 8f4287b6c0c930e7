package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestStatusChild is not a test: it is what TestStartChild starts.
func TestStatusChild(t *testing.T) {
	parent := inheritStatus()
	if parent == nil {
		t.Skip("the child of TestStartChild")
	}
	if os.Getenv(statusVariable) != "" {
		parent.tell(99, "the variable is left to others")
	}
	switch os.Getenv("STATUS_CHILD") {
	case "up":
		parent.tell(exitOK, "")
		parent.tell(exitFailure, "which is too late")
	case "fails":
		parent.tell(exitUsage, "usbmuxd: a reason")
	case "dies":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func TestStartChild(t *testing.T) {
	for _, tt := range []struct {
		how     string
		code    int
		message string
		err     string
	}{
		{how: "up"},
		{how: "fails", code: exitUsage, message: "usbmuxd: a reason"},
		{how: "dies", err: "ended before it was up: signal: killed"},
		{how: "says nothing", err: "ended before it was up"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			t.Setenv("STATUS_CHILD", tt.how)
			code, message, err := startChild([]string{"-test.run=^TestStatusChild$"})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("want an error with %q, got %d, %q, %v", tt.err, code, message, err)
				}
				return
			}
			if err != nil || code != tt.code || message != tt.message {
				t.Fatalf("want %d, %q, got %d, %q, %v", tt.code, tt.message, code, message, err)
			}
		})
	}
}

// TestForeignStatus asserts that a variable which somebody else has set is taken
// for nothing.
func TestForeignStatus(t *testing.T) {
	for _, value := range []string{"", "x", "-1", "0", "1", "2", "12345"} {
		t.Setenv(statusVariable, value)
		if s := inheritStatus(); s != nil {
			t.Errorf("%q is taken for a pipe", value)
		}
	}
}
