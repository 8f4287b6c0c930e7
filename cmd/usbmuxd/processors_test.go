package main

import (
	"runtime"
	"testing"
)

func TestProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	p := newProcessors()
	for _, tt := range []struct{ phones, want int }{{0, 1}, {1, 1}, {2, 2}, {8, 2}, {9, 3}, {32, 4}, {100, 4}, {3, 2}, {1, 1}} {
		p.fit(tt.phones)
		if got := runtime.GOMAXPROCS(0); got != tt.want {
			t.Errorf("%d phones: %d processors, want %d", tt.phones, got, tt.want)
		}
	}
	t.Setenv("GOMAXPROCS", "3")
	p = newProcessors()
	p.fit(9)
	if got := runtime.GOMAXPROCS(0); p != nil || got != 1 {
		t.Errorf("%d processors although the user has set them", got)
	}
}
