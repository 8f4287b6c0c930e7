package service

import (
	"context"
	"net"
	"sync"
	"time"
)

// DefaultHeartbeat is the time between two heartbeats of a real phone.
const DefaultHeartbeat = 10 * time.Second

// marco is the phone's half of a heartbeat. Interval is in seconds.
type marco struct {
	Command            string `plist:"Command"`
	Interval           uint64 `plist:"Interval"`
	SupportsSleepyTime bool   `plist:"SupportsSleepyTime"`
}

// command is a message that is nothing but its name.
type command struct {
	Command string `plist:"Command"`
}

// Heartbeat serves com.apple.mobile.heartbeat: the phone says Marco at once and then
// every interval, the host answers each with Polo. Without a Polo before the next
// Marco is due the phone says SleepyTime and closes. An interval of zero or less is
// DefaultHeartbeat; the host is told whole seconds, rounded up.
//
// Source: the heartbeat API page of libimobiledevice (heartbeat.h) and the first
// message as several clients publish it.
func Heartbeat(interval time.Duration) Handler {
	if interval <= 0 {
		interval = DefaultHeartbeat
	}
	seconds := uint64((interval + time.Second - 1) / time.Second)
	return func(ctx context.Context, c net.Conn) {
		var reader sync.WaitGroup
		defer reader.Wait() // after release has closed c
		defer bind(ctx, c)()

		polos := make(chan struct{}, 1)
		gone := make(chan struct{})
		reader.Go(func() {
			defer close(gone)
			readPolos(c, polos)
		})
		for {
			select {
			case <-polos: // an answer to nothing does not count for the next Marco
			default:
			}
			if sendBefore(c, interval, marco{"Marco", seconds, true}) != nil {
				return
			}
			alive, open := awaitPolo(interval, polos, gone)
			if !open {
				return
			}
			if !alive {
				// The connection ends either way.
				_ = sendBefore(c, interval, command{"SleepyTime"})
				return
			}
		}
	}
}

// readPolos reports each Polo, without ever waiting for its receiver, until c ends
// or the host sends what is no property list.
func readPolos(c net.Conn, polos chan<- struct{}) {
	for {
		var m command
		if _, err := ReadPlist(c, &m); err != nil {
			return
		}
		if m.Command == "Polo" {
			select {
			case polos <- struct{}{}:
			default:
			}
		}
	}
}

// awaitPolo waits a whole interval and reports whether a Polo came in it; open is
// false, at once, if the host is gone.
func awaitPolo(interval time.Duration, polos, gone <-chan struct{}) (alive, open bool) {
	t := time.NewTimer(interval)
	defer t.Stop()
	for {
		select {
		case <-polos:
			alive = true
		case <-gone:
			return alive, false
		case <-t.C:
			return alive, true
		}
	}
}

// sendBefore writes v to c and closes c if the host has not taken it after limit.
func sendBefore(c net.Conn, limit time.Duration, v any) error {
	guard := time.AfterFunc(limit, func() { c.Close() })
	defer guard.Stop()
	return WritePlist(c, v, false)
}
