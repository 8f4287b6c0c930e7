package usb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestResetHangs asserts that a reset in which the kernel hangs is given up, is not
// tried again before the kernel has let go, and holds up no other device.
func TestResetHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letGo := make(chan struct{})
		r := newResetting(func(at Address) error {
			if at.Node == "stuck" {
				<-letGo
			}
			return nil
		})
		ctx := context.Background()
		start := time.Now()
		if err := r.do(ctx, Address{Node: "stuck"}, time.Second); !errors.Is(err, ErrHung) || time.Since(start) != time.Second {
			t.Errorf("want ErrHung after 1 s, got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if err := r.do(ctx, Address{Node: "stuck"}, time.Second); !errors.Is(err, ErrHung) || time.Since(start) != 0 {
			t.Errorf("want ErrHung at once, got %v after %v", err, time.Since(start))
		}
		if err := r.do(ctx, Address{Node: "well"}, time.Second); err != nil {
			t.Errorf("another device: %v", err)
		}
		close(letGo)
		synctest.Wait()
		if err := r.do(ctx, Address{Node: "stuck"}, time.Second); err != nil {
			t.Errorf("once the kernel has let go: %v", err)
		}
	})
}

func TestResetErrors(t *testing.T) {
	for _, tt := range []struct {
		errno unix.Errno
		want  error
	}{
		{0, nil},
		{unix.ENODEV, nil}, // it comes back as another device
		{unix.ESHUTDOWN, ErrGone},
		{unix.EINVAL, ErrReset},
	} {
		if err := resetError(tt.errno); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%v: want %v, got %v", tt.errno, tt.want, err)
		}
	}
	err := Reset(context.Background(), Address{Node: "/nonexistent/001/002"})
	if !errors.Is(err, ErrGone) {
		t.Errorf("a node that is not there: want ErrGone, got %v", err)
	}
}
