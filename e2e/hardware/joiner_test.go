package main

import (
	"encoding/binary"
	"testing"

	"gomuxd/mux"
	"gomuxd/virtualphone"
)

// splitter is a phone's end that takes several packets in one transfer.
type splitter struct{ mux.Pipe }

func (s splitter) Write(b []byte) (int, error) {
	for at := 0; at < len(b); {
		n := int(binary.BigEndian.Uint32(b[at+4:]))
		if _, err := s.Pipe.Write(b[at : at+n]); err != nil {
			return at, err
		}
		at += n
	}
	return len(b), nil
}

// TestJoined asserts that both kinds of phone are told apart. The virtual phone
// takes one packet a transfer and counts another as a violation.
func TestJoined(t *testing.T) {
	for _, tt := range []struct {
		name             string
		takes            bool
		answered, counts int
	}{
		{"takes one", false, 0, 1},
		{"takes both", true, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			phone, err := virtualphone.New(virtualphone.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer phone.Close()
			cable, err := phone.Plug()
			if err != nil {
				t.Fatal(err)
			}
			var pipe mux.Pipe = cable.Pipe()
			if tt.takes {
				pipe = splitter{pipe}
			}
			answered, ended, err := joined(t.Context(), pipe, virtualphone.LockdownPort)
			if err != nil || ended != nil || answered != tt.answered {
				t.Errorf("joined = %d answered, ended %v, %v; want %d", answered, ended, err, tt.answered)
			}
			if v := phone.Violations(); int(v.BadLength) != tt.counts {
				t.Errorf("violations %v, want %d of the length", v, tt.counts)
			}
		})
	}
}
