package main

import (
	"slices"
	"testing"
)

func TestStreamVerifies(t *testing.T) {
	const at, n = 5*period - 1000, 4096 // over the end of the sequence
	good := slices.Clone(stream(7).piece(at, n))
	if err := stream(7).verify(at, good); err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func() error{
		"one bit":        func() error { b := slices.Clone(good); b[n-1] ^= 1; return stream(7).verify(at, b) },
		"a byte lost":    func() error { return stream(7).verify(at, good[1:]) },
		"another stream": func() error { return stream(8).verify(at, good) },
		"a window later": func() error { return stream(7).verify(at+nullWindow, good) },
	} {
		if check() == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
