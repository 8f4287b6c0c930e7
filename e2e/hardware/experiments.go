package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/usb"
)

// again is how long the phone may take to be listed by a daemon that has started
// anew, a mode switch included.
const again = 90 * time.Second

// modeVariable names the USB mode that the daemon asks phones for.
const modeVariable = "USBMUXD_DEFAULT_DEVICE_MODE"

// switchMode has the daemon switch the phone to another USB mode and back.
func (c *check) switchMode(ctx context.Context) error {
	d, err := c.phone(ctx)
	if err != nil {
		return err
	}
	if _, ok := c.busOf(d); !ok {
		c.report.set(lineSwitch, notTried, "no USB device is seen here at the place the daemon names")
		return nil
	}
	c.person.tell("The iPhone is switched to another USB mode and back. Leave it alone.", "s and Enter skips this")
	var did []string
	for _, mode := range []string{"3", "1"} {
		place, begun := c.journal.now(), time.Now()
		if err := c.stop(); err != nil {
			return err
		}
		c.switched = mode != "1"
		if err := c.start(ctx, trust.Ask, modeVariable+"="+mode); err != nil {
			return err
		}
		_, at, err := c.attached(ctx, place, again)
		if err != nil {
			return fmt.Errorf("to mode %s: %w", mode, err)
		}
		if err := c.told(ctx, place); err != nil {
			return err
		}
		claimed, _ := last(c.journal, place, saying("claimed"))
		what := fmt.Sprintf("mode %s: %s", mode, claimed.field("mode"))
		if count(c.journal, place, saying(switched)) == 0 {
			what += " (not switched)"
		}
		did = append(did, fmt.Sprintf("%s, configuration %d, listed after %s", what, claimed.number("configuration"), seconds(at.Sub(begun))))
		wanted := usb.ParseMode(mode).String()
		if claimed.field("mode") != wanted {
			return fmt.Errorf("%s; the phone is not in mode %s", strings.Join(did, "; "), wanted)
		}
	}
	c.report.set(lineSwitch, pass, "%s", strings.Join(did, "; "))
	return nil
}

// joiner is a pipe that puts the first two packets after arm into one transfer.
type joiner struct {
	mux.Pipe

	mu    sync.Mutex // guards all below
	armed bool
	held  []byte
}

func (j *joiner) arm() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.armed = true
}

// Write implements mux.Pipe.
func (j *joiner) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case !j.armed:
		return j.Pipe.Write(b)
	case j.held == nil:
		j.held = slices.Clone(b)
		return len(b), nil
	}
	j.armed = false
	if _, err := j.Pipe.Write(append(j.held, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// joinLimit is how long the phone may take to answer two connections.
const joinLimit = 5 * time.Second

// joined opens two connections to a port whose first packets share one transfer,
// and says how many the phone has answered, and why the session has ended if it
// has.
func joined(ctx context.Context, pipe mux.Pipe, port uint16) (answered int, ended error, err error) {
	j := &joiner{Pipe: pipe}
	s, err := mux.Open(ctx, j, mux.Config{DialTimeout: joinLimit})
	if err != nil {
		return 0, nil, err
	}
	defer s.Close()
	j.arm()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards answered
	for range 2 {
		wg.Go(func() {
			conn, err := s.Dial(ctx, port)
			if err != nil && !errors.Is(err, mux.ErrRefused) {
				return
			}
			mu.Lock()
			answered++
			mu.Unlock()
			if err == nil {
				conn.Close()
			}
		})
	}
	wg.Wait()
	return answered, s.Err(), ctx.Err()
}

// join finds out whether the phone takes two packets in one transfer. Nobody
// knows; so it is only done if the person agrees, when all else has been done.
func (c *check) join(ctx context.Context) error {
	d, err := c.phone(ctx)
	if err != nil {
		return err
	}
	b, ok := c.busOf(d)
	if !ok {
		c.report.set(lineJoined, notTried, "no USB device is seen here at the place the daemon names")
		return nil
	}
	yes, err := c.person.asks(ctx, "May an experiment be made? Two packets go to the iPhone in one USB transfer. If it does not like\n    that, it may have to be unplugged and plugged in again; nothing else is known to happen.")
	if err != nil {
		return err
	}
	if !yes {
		c.report.set(lineJoined, notTried, "not agreed to")
		return nil
	}
	if err := c.stop(); err != nil {
		return err
	}
	var answered int
	var ended error
	err = c.work(ctx, again, func(ctx context.Context) error {
		dev := b.Device
		phone, err := usb.Open(ctx, usb.Address{Bus: dev.Bus, Address: dev.Address, Node: dev.Node, SysPath: dev.Path, Port: dev.Port}, usb.Config{})
		if err != nil {
			return err
		}
		defer phone.Close()
		answered, ended, err = joined(ctx, phone.Pipe(), lockdown.Port)
		return err
	})
	place := c.journal.now()
	if serr := c.start(ctx, trust.Ask); serr != nil {
		return errors.Join(err, serr)
	}
	if err != nil {
		return err
	}
	result := map[int]string{0: "it answered neither", 1: "it answered one of them", 2: "it answered both"}[answered]
	if ended != nil {
		result += fmt.Sprintf(", and the session ended: %v", ended)
	}
	if _, _, err := c.attached(ctx, place, again); err != nil {
		c.report.set(lineJoined, fail, "%s; afterwards it was not listed until it was plugged in again", result)
		return nil
	}
	c.report.set(lineJoined, pass, "%s; afterwards all is as before", result)
	return nil
}
