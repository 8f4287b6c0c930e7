package main

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"gomuxd/virtualphone/service"
)

// spoiled flips a bit of what is written to it after so many bytes.
type spoiled struct {
	net.Conn
	after int
}

func (s *spoiled) Write(b []byte) (int, error) {
	if s.after >= 0 && s.after < len(b) {
		b = append([]byte(nil), b...)
		b[s.after] ^= 1
		s.after = -1
		return s.Conn.Write(b)
	}
	s.after -= len(b)
	return s.Conn.Write(b)
}

// move runs a session against a port of the phone, through a wire that may be
// bad in one direction.
func move(t *testing.T, way direction, wire func(client, phone net.Conn) (net.Conn, net.Conn)) error {
	t.Helper()
	client, phone := net.Pipe()
	client, phone = wire(client, phone)
	handler := map[direction]service.Handler{down: source, up: sink, echo: service.Echo()}[way]
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer phone.Close()
		handler(context.Background(), phone)
	}()
	tr := &transfer{way: way, each: 1 << 20, moved: make([]atomic.Int64, 1)}
	err := tr.move(client, 3, 0)
	client.Close()
	<-done
	return err
}

func TestTransferVerifies(t *testing.T) {
	for way, wire := range map[direction]func(client, phone net.Conn) (net.Conn, net.Conn){
		down: func(client, phone net.Conn) (net.Conn, net.Conn) { return client, &spoiled{phone, 700_000} },
		up:   func(client, phone net.Conn) (net.Conn, net.Conn) { return &spoiled{client, 700_000}, phone },
		echo: func(client, phone net.Conn) (net.Conn, net.Conn) { return &spoiled{client, 700_000}, phone },
	} {
		t.Run(string(way), func(t *testing.T) {
			if err := move(t, way, func(c, p net.Conn) (net.Conn, net.Conn) { return c, p }); err != nil {
				t.Errorf("good wire: %v", err)
			}
			err := move(t, way, wire)
			if err == nil || !strings.Contains(err.Error(), "want") && !strings.Contains(err.Error(), "wrong bytes") {
				t.Errorf("bad wire: want an error about a wrong byte, got %v", err)
			}
		})
	}
}

func TestUnfairness(t *testing.T) {
	if got := unfairness([]int64{100, 100, 100}); got != 0 {
		t.Errorf("equal: %v", got)
	}
	if got := unfairness([]int64{100, 50, 150}); got != 50 {
		t.Errorf("half away: %v", got)
	}
}

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		got  []int64
		want float64
	}{
		{[]int64{100, 100, 100}, 1},
		{[]int64{50, 50, 100}, 0.75},
		{[]int64{0, 0, 100}, 0},
		{nil, 0},
		{[]int64{0, 0, 0}, 0},
	} {
		if got := share(tt.got, 2); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.got, got, tt.want)
		}
	}
}
