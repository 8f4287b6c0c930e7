package usb

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// turns lets one bring-up go on at a time. A phone that answers nothing
// holds the others up for its timeout at most: after that the next one goes
// ahead, and the hung one is not tried again before the kernel has let go of it.
type turns struct {
	slot chan struct{} // capacity 1: full while a bring-up has its turn

	mu   sync.Mutex      // guards hung
	hung map[string]bool // by key, bring-ups that were left behind
}

func newTurns() *turns {
	return &turns{slot: make(chan struct{}, 1), hung: make(map[string]bool)}
}

type outcome struct {
	p   prepared
	err error
}

// do waits for a turn and runs f. It returns when f does, when ctx ends, or with
// ErrHung after timeout; f may then still run, which is all that can be done
// about a thread that is stuck in the kernel.
func (t *turns) do(ctx context.Context, key string, timeout time.Duration, f func() (prepared, error)) (prepared, error) {
	if t.isHung(key) {
		return prepared{}, fmt.Errorf("%w still, since an earlier attempt", ErrHung)
	}
	select {
	case t.slot <- struct{}{}:
	case <-ctx.Done():
		return prepared{}, context.Cause(ctx)
	}
	result := make(chan outcome, 1)
	go func() { // waited for here or in leave, as long as it makes sense
		var o outcome
		defer func() { result <- o }()
		o.p, o.err = guarded(f)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case o := <-result:
		<-t.slot
		return o.p, o.err
	case <-ctx.Done():
		t.leave(key, result, timeout)
		return prepared{}, context.Cause(ctx)
	case <-timer.C:
		t.leave(key, result, 0)
		return prepared{}, fmt.Errorf("%w, given up after %v", ErrHung, timeout)
	}
}

// isHung reports whether an earlier bring-up was left behind.
func (t *turns) isHung(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hung[key]
}

// leave passes the turn on when the bring-up has ended, after wait at the latest.
func (t *turns) leave(key string, result <-chan outcome, wait time.Duration) {
	t.mu.Lock()
	t.hung[key] = true
	t.mu.Unlock()
	go func() { // ends with the bring-up
		select {
		case <-result:
			<-t.slot
		case <-time.After(wait):
			<-t.slot
			<-result
		}
		t.mu.Lock()
		delete(t.hung, key)
		t.mu.Unlock()
	}()
}

// errPanic is a panic of a bring-up.
var errPanic = errors.New("bring-up panicked")

// guarded turns a panic of f into an error: gousb panics where libusb does not
// start, and on descriptors it does not expect.
func guarded(f func() (prepared, error)) (p prepared, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
		}
	}()
	return f()
}
