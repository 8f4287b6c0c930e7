package usbip

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"gomuxd/virtualphone"
)

const statusText = `hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010001 000003 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0002 004 000 00000000 000000 0-0
odd line
hs  x    004 000
`

func TestReadPorts(t *testing.T) {
	dir := t.TempDir()
	if _, err := readPorts(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("without the module: %v", err)
	}
	for name, text := range map[string]string{"status": statusText, "status.1": "hs  0003 004 000 0 0 0-0\nhs  0004 004 000 0 0 0-0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ports, err := readPorts(dir)
	if err != nil || len(ports) != 5 {
		t.Fatalf("want 5 ports, got %v, %v", ports, err)
	}
	for _, tt := range []struct {
		name   string
		speed  Speed
		prefer int
		late   bool
		want   int // port, -1 = none
	}{
		{"emptiest controller", High, NoPort, false, 3},
		{"the port of before", High, 1, false, 1},
		{"the port of before is busy still", High, 0, false, -1},
		{"the port of before stays busy", High, 0, true, 3},
		{"super speed", Super, NoPort, false, 2},
	} {
		p, ok := choose(ports, tt.speed, tt.prefer, tt.late)
		if ok != (tt.want >= 0) || ok && p.number != tt.want {
			t.Errorf("%s: want %d, got %+v, %t", tt.name, tt.want, p, ok)
		}
	}
}

// TestFollow drives unplug, replug, a mode switch and the kernel's own detach.
func TestFollow(t *testing.T) {
	phone, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	g, err := New(Config{Phone: phone})
	if err != nil {
		t.Fatal(err)
	}
	kernel := make(chan net.Conn)
	var last int
	attach := func(_ Speed, prefer int) (*Port, error) {
		a, b := net.Pipe()
		last = prefer
		kernel <- a
		return &Port{Conn: b, Number: 7}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	events := make(chan Event, 16)
	go func() { done <- g.Follow(ctx, attach, func(ev Event) { events <- ev }) }()

	first := <-kernel
	phone.Unplug()
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Fatal("the port is still in use after an unplug")
	}
	if _, err := phone.Plug(); err != nil {
		t.Fatal(err)
	}
	second := <-kernel
	if last != 7 {
		t.Fatalf("want the port of before, got %d", last)
	}
	b := make([]byte, 48)
	b[3], b[7], b[15], b[27] = 1, 1, 1, 1
	copy(b[40:], []byte{0xc0, 0x52, 0, 0, 3, 0, 1, 0})
	if _, err := second.Write(b); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := second.Read(b); err != nil {
			break
		}
	}
	third := <-kernel
	if g.Mode() != 3 {
		t.Fatalf("mode %d", g.Mode())
	}
	third.Close() // the host lets go
	for n := 0; n < 6; n++ {
		<-events // three ports, three ends
	}
	if phone.Cable() != nil {
		t.Fatal("the phone is still plugged in after the host let go")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
