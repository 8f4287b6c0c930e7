package main

import (
	"strings"
	"testing"
)

// A device with one configuration: usbmux, two bulk endpoints, of SuperSpeed.
var sample = []byte{
	18, 1, 0x20, 0x03, 0, 0, 0, 9, 0xac, 0x05, 0xa8, 0x12, 0x02, 0x14, 1, 2, 3, 1,
	9, 2, 44, 0, 1, 5, 6, 0xc0, 250,
	9, 4, 1, 0, 2, 255, 254, 2, 7,
	7, 5, 0x04, 2, 0, 4, 0,
	6, 48, 15, 0, 0, 0,
	7, 5, 0x85, 2, 0, 4, 0,
	6, 48, 15, 0, 0, 0,
}

func TestDescribe(t *testing.T) {
	const want = `device 05ac:12a8 release 1402, USB 3.20, class 0/0/0, packets of 9 on endpoint 0, 1 configurations
configuration 5: 1 interfaces, attributes c0, power 250, 44 bytes
  interface 1 setting 0: class 255/254/2, 2 endpoints, usbmux
    endpoint 04: bulk, packets of 1024, interval 0
      bursts of 16, attributes 00
    endpoint 85: bulk, packets of 1024, interval 0
      bursts of 16, attributes 00
`
	if got := describe(sample); got != want {
		t.Errorf("describe = %s\nwant %s", got, want)
	}
	if n := configurations(sample); n != 1 {
		t.Errorf("%d configurations, want 1", n)
	}
	if got := dump(sample); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "12012003") {
		t.Errorf("dump = %s", got)
	}
	for n := range sample {
		if d := describe(sample[:n]); !strings.HasPrefix(want, d) {
			t.Errorf("cut to %d bytes: %s", n, d)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, b []byte) {
		if lines := strings.Count(describe(b), "\n"); lines > len(b)/2 {
			t.Errorf("%d lines of %d bytes", lines, len(b))
		}
	})
}
