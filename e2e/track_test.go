package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// track is the words in which one party tells a story, in order. Any goroutine
// adds; the test's alone awaits.
type track struct {
	mu    sync.Mutex // guards words
	words []string
	grown chan struct{} // capacity 1
	read  int           // words that await has passed
}

func newTrack() *track { return &track{grown: make(chan struct{}, 1)} }

func (k *track) add(word string) {
	k.mu.Lock()
	k.words = append(k.words, word)
	k.mu.Unlock()
	select {
	case k.grown <- struct{}{}:
	default:
	}
}

// await passes the words up to and including the next that is one of want, and
// returns it.
func (k *track) await(ctx context.Context, want ...string) (string, error) {
	for {
		k.mu.Lock()
		fresh := slices.Clone(k.words[k.read:])
		i := slices.IndexFunc(fresh, func(w string) bool { return slices.Contains(want, w) })
		if i >= 0 {
			k.read += i + 1
			k.mu.Unlock()
			return fresh[i], nil
		}
		k.mu.Unlock()
		select {
		case <-k.grown:
		case <-ctx.Done():
			return "", fmt.Errorf("awaited %q, got %q after %q", want, fresh, k.words[:k.read])
		}
	}
}

// last is the latest word.
func (k *track) last() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.words) == 0 {
		return ""
	}
	return k.words[len(k.words)-1]
}

// String is the whole story.
func (k *track) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.words, " ")
}
