//go:build virtualphone

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// TestWholeDaemon runs the daemon in this process, from its options to an
// orderly stop, with a client that writes and closes at once: all of it must
// reach the phone. Nothing may be left running.
func TestWholeDaemon(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	core, logs := observer.New(zap.DebugLevel)
	d := newDaemon(new(options), set("-f", "-p", "-S", filepath.Join(dir, "s"), "-C", filepath.Join(dir, "records"), "-P", "NONE"), zap.New(core))
	phone, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const size = 200_000 // more than the window and the ring of the daemon; the socket takes it at once
	gone, got := make(chan struct{}), make(chan error, 1)
	phone.HandlePort(1000, func(_ context.Context, c net.Conn) {
		<-gone // until then the window fills, and the rest waits in the daemon
		got <- receive(c, size)
	})
	bus := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
	bus.add(phone)
	d.source, d.open = bus.run, bus.open
	d.mux.Linger = time.Minute // on a busy machine

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	for len(ids(d)) == 0 {
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		default:
			runtime.Gosched()
		}
	}

	c, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	// Binary Connect to device 1, port 1000 = 0x03e8.
	if _, err := c.Write([]byte("\x18\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03\xe8\x00\x00")); err != nil {
		t.Fatal(err)
	}
	var result [20]byte
	if _, err := io.ReadFull(c, result[:]); err != nil || binary.LittleEndian.Uint32(result[16:]) != 0 {
		t.Fatalf("want Result 0, got % x, %v", result, err)
	}
	buf := make([]byte, size)
	service.Fill(1, 0, buf)
	if _, err := c.Write(buf); err != nil {
		t.Fatal(err)
	}
	c.Close()
	close(gone)
	if err := <-got; err != nil {
		t.Errorf("the phone did not get what the client sent before closing: %v", err)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("run = %v", err)
	}
	if v := phone.Violations(); v.Total() != 0 {
		t.Errorf("the phone counted violations: %v", v)
	}
	for _, entry := range logs.All() {
		if entry.Level >= zap.WarnLevel {
			t.Errorf("logged: %s %v", entry.Message, entry.ContextMap())
		}
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// receive reads and verifies size bytes.
func receive(c net.Conn, size int) error {
	buf := make([]byte, size)
	if n, err := io.ReadFull(c, buf); err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	return service.Verify(1, 0, buf)
}

func TestVirtualPhoneOptions(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
		err  string
	}{
		{args: nil, want: 0},
		{args: []string{"--virtual-phone"}, want: 1},
		{args: []string{"--virtual-phone=3"}, want: 3},
		{args: []string{"--virtual-phone=-1"}, err: "0 to 256"},
		{args: []string{"--virtual-phone=257"}, err: "0 to 256"},
		{args: []string{"--virtual-phone=x"}, err: "virtual-phone"},
	} {
		o, err := parseOptions(tt.args)
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%v: want an error with %q, got %v", tt.args, tt.err, err)
		case tt.err == "" && (err != nil || o.phone.count != tt.want):
			t.Errorf("%v: want %d phones, got %+v, %v", tt.args, tt.want, o, err)
		}
	}
}
