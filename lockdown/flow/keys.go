package flow

import (
	"context"
	"sync"

	"gomuxd/lockdown"
)

// Keys makes private keys ahead of need: one pair is ready, or being made, from
// the first call of Prepare on. The zero value is usable.
type Keys struct {
	maker func() (*lockdown.Keys, error) // nil: lockdown.NewKeys

	mu   sync.Mutex
	next chan made // capacity 1; nil while nobody needs any
	wg   sync.WaitGroup
}

type made struct {
	keys *lockdown.Keys
	err  error
}

// Prepare has a pair made in the background, unless one is ready.
func (k *Keys) Prepare() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.prepareLocked()
}

func (k *Keys) prepareLocked() chan made {
	if k.next == nil {
		next, maker := make(chan made, 1), k.maker
		if maker == nil {
			maker = lockdown.NewKeys
		}
		k.next = next
		k.wg.Go(func() { // Wait waits
			keys, err := maker()
			next <- made{keys, err}
		})
	}
	return k.next
}

// Take waits for a pair. Each is given out once.
func (k *Keys) Take(ctx context.Context) (*lockdown.Keys, error) {
	for {
		k.mu.Lock()
		next := k.prepareLocked()
		k.mu.Unlock()
		select {
		case m, ok := <-next:
			if !ok {
				continue // another one has taken it
			}
			k.mu.Lock()
			k.next = nil
			k.mu.Unlock()
			close(next)
			return m.keys, m.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Wait waits until no key is being made.
func (k *Keys) Wait() { k.wg.Wait() }
