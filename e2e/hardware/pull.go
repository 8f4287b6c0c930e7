package main

import (
	"context"
	"crypto/rand"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
	"gomuxd/socket/client"
)

// pullLimit is how long after the unplug the last sign of the phone may come.
const pullLimit = 10 * time.Second

// stopped is the end of a transfer that goes on until it is stopped.
type stopped struct {
	up  bool
	err error
}

func (stopped) source() string { return "check" }
func (s stopped) String() string {
	return map[bool]string{true: "transfer to", false: "transfer from"}[s.up] + " the phone ended: " + s.err.Error()
}

// moving is said when data moves both ways.
type moving struct{}

func (moving) source() string { return "check" }
func (moving) String() string { return "data moves both ways" }

// pull has the cable pulled while data moves both ways.
func (c *check) pull(ctx context.Context) error {
	d, err := c.phone(ctx)
	if err != nil {
		return err
	}
	if !c.trusted {
		return errStranger
	}
	place := c.journal.now()
	var wg sync.WaitGroup
	moves, cancel := context.WithCancel(ctx)
	defer wg.Wait()
	defer cancel()
	if err := c.move(moves, d, &wg); err != nil {
		return err
	}
	if err := c.until(ctx, startLimit, func(*string) (bool, error) {
		_, _, ok := find(c.journal, place, func(moving) bool { return true })
		if s, _, dead := find(c.journal, place, func(stopped) bool { return true }); dead {
			return false, s.err
		}
		return ok, nil
	}); err != nil {
		return err
	}
	c.person.tell("Pull the cable out of the iPhone NOW, while data moves.", c.waiting("it is gone"))
	var at time.Time
	err = c.person.await(ctx, c.person.limit, func(*string) (ok bool, _ error) {
		_, at, ok = find(c.journal, place, func(l listed) bool { return l.Kind == client.Detached && l.Device.ID == d.ID })
		return ok, nil
	})
	if err != nil {
		return err
	}
	// Both transfers must end by themselves.
	begun := at
	if _, seen, ok := find(c.journal, place, func(b onBus) bool { return b.Action == hotplug.Remove && b.phone() }); ok && seen.Before(at) {
		begun = seen
	}
	var up, down time.Time
	var upEnds, downEnds bool
	if err := c.person.quietly(ctx, pullLimit, func() bool {
		_, up, upEnds = find(c.journal, place, func(s stopped) bool { return s.up })
		_, down, downEnds = find(c.journal, place, func(s stopped) bool { return !s.up })
		return upEnds && downEnds
	}); err != nil {
		return err
	}
	if !upEnds || !downEnds {
		c.report.set(linePull, fail, "Detached came, but a transfer hung for %v more (to the phone ended: %v, from it: %v)", pullLimit, upEnds, downEnds)
		return nil
	}
	c.report.set(linePull, pass, "Detached %s, transfers ended %s and %s after the first sign",
		seconds(at.Sub(begun)), seconds(max(up.Sub(begun), 0)), seconds(max(down.Sub(begun), 0)))
	return nil
}

// move writes one file and reads another on end, until ctx or the phone ends it.
func (c *check) move(ctx context.Context, d client.Device, wg *sync.WaitGroup) error {
	var sides [2]*afc
	for i := range sides {
		a, err := c.openAFC(ctx, d)
		if err != nil {
			for _, a := range sides[:i] {
				a.Close()
			}
			return err
		}
		sides[i] = a
	}
	if !c.file.there {
		if err := c.makeDir(sides[0]); err != nil {
			return err
		}
		c.file.there = true
	}
	name := path.Join(c.file.dir, c.file.name)
	var rounds [2]atomic.Bool
	turn := func(i int) {
		if rounds[i].Swap(true) || !rounds[1-i].Load() {
			return
		}
		c.journal.add(moving{})
	}
	for i, a := range sides {
		wg.Go(func() {
			defer a.Close()
			defer a.during(ctx)()
			err := overAndOver(a, name, i == 0, func() { turn(i) })
			c.journal.add(stopped{i == 0, err})
		})
	}
	return nil
}

// overAndOver writes the first piece of a file again and again, or has it, too,
// and reads it. It returns why that ended.
func overAndOver(a *afc, name string, up bool, turn func()) error {
	if !up {
		name += "-back"
	}
	h, err := a.open(name, afcForBoth)
	if err != nil {
		return err
	}
	buf := make([]byte, afcPiece)
	rand.Read(buf)
	if err := a.write(h, buf); err != nil {
		return err
	}
	for {
		if err := a.rewind(h); err != nil {
			return err
		}
		if up {
			err = a.write(h, buf)
		} else {
			_, err = a.read(h, buf)
		}
		if err != nil {
			return err
		}
		turn()
	}
}

// replug has the iPhone plugged in again, which must still trust.
func (c *check) replug(ctx context.Context) error {
	if !c.trusted {
		return errStranger
	}
	place := c.journal.now()
	if d, here := c.present(); here { // nobody has pulled the cable
		c.person.tell("Unplug the iPhone.", c.waiting("it is gone"))
		err := c.person.await(ctx, c.person.limit, func(*string) (ok bool, _ error) {
			_, _, ok = find(c.journal, place, func(l listed) bool { return l.Kind == client.Detached && l.Device.ID == d.ID })
			return ok, nil
		})
		if err != nil {
			return err
		}
		place = c.journal.now()
	}
	c.person.tell("Plug the iPhone in again. It must not ask whether to trust this computer.", c.waiting("it is listed"))
	_, at, err := c.attached(ctx, place, c.person.limit)
	if err != nil {
		return err
	}
	c.tellTime(lineReplug, place, at)
	err = c.until(ctx, c.person.limit, func(*string) (bool, error) {
		if s, _, ok := find(c.journal, place, c.state(trust.NotAsked, trust.DialogShown, trust.Denied, trust.ForgottenByPhone, trust.RecordBroken)); ok {
			c.report.set(lineStill, fail, "%s: %s", s.Device.Trust, s.Device.Reason)
			return true, nil
		}
		_, trusted, ok := find(c.journal, place, c.state(trust.Trusted, trust.Expiring))
		if ok {
			c.report.set(lineStill, pass, "%s after it was listed", seconds(trusted.Sub(at)))
		}
		return ok, nil
	})
	if err != nil {
		return err
	}
	return c.removeFile(ctx)
}
