package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gomuxd/control"
	"gomuxd/control/model"
	"gomuxd/hotplug"
	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/socket/client"
)

// plug has the iPhone plugged in and finds out what it is and how it greets.
func (c *check) plug(ctx context.Context) error {
	if err := c.allOut(ctx); err != nil {
		return err
	}
	place := c.journal.now()
	var at time.Time
	here := c.anyShown()
	var d client.Device
	if here { // nobody has taken it out
		place = 0
		var err error
		if d, _, err = c.attached(ctx, place, c.person.limit); err != nil {
			return c.notListed(place, err)
		}
		c.report.set(linePlug, notTried, "it was plugged in before")
	} else {
		c.person.tell("Unlock the iPhone and plug it in.", c.waiting("it is listed"))
		var err error
		if d, at, err = c.attached(ctx, place, c.person.limit); err != nil {
			return c.notListed(place, err)
		}
	}
	c.udid = d.UDID
	c.secrets.Learn("udid", d.UDID)
	c.hear(ctx, d)

	if b, ok := c.busOf(d); ok {
		c.tellDescriptors(b)
	} else {
		c.report.set(lineDescriptors, notTried, "no USB device is seen here at the place the daemon names")
	}
	if !here {
		c.tellTime(linePlug, place, at)
	}
	if err := c.told(ctx, place); err != nil {
		return err
	}
	c.tellModes(d, place)
	c.tellGreeting(place)
	return c.identify(ctx, d)
}

// allOut has every iPhone taken out, so that the plug can be timed.
func (c *check) allOut(ctx context.Context) error {
	err := c.person.await(ctx, startLimit, func(*string) (bool, error) {
		_, _, ok := find(c.journal, 0, func(overview) bool { return true })
		return ok, nil
	})
	there := func() bool {
		_, listed := c.present() // which is told on another socket
		return listed || c.anyShown()
	}
	if err != nil || !there() {
		return err
	}
	// It is about to be listed, if it can be; both sockets then tell the same.
	if err := c.person.quietly(ctx, blameLimit, func() bool { _, listed := c.present(); return listed }); err != nil {
		return err
	}
	c.person.tell("Unplug every iPhone and iPad.", c.waiting("none is left"))
	err = c.person.await(ctx, c.person.limit, func(*string) (bool, error) { return !there(), nil })
	if ctx.Err() != nil {
		return err
	}
	return nil // else it goes on with the one that is there
}

// anyShown reports whether the daemon shows any device but the computer's own.
func (c *check) anyShown() bool {
	here := make(map[string]bool)
	for _, e := range c.journal.all() {
		switch f := e.fact.(type) {
		case started, ended:
			clear(here)
		case shown:
			here[f.Device.PortPath] = f.Type != control.DeviceRemoved && f.Device.Trust != string(trust.NoLockdown)
		}
	}
	for _, is := range here {
		if is {
			return true
		}
	}
	return false
}

// notListed says why no phone was listed, as far as the bus shows.
func (c *check) notListed(place int, err error) error {
	b, _, seen := find(c.journal, place, func(b onBus) bool { return b.Action == hotplug.Add && b.phone() })
	if !seen || !isTimeOut(err) {
		if isTimeOut(err) {
			err = errAbsent
		}
		return err
	}
	c.tellDescriptors(b)
	c.tellGreeting(place)
	why := "the daemon does not show it at all"
	entries, _ := c.journal.since(place)
	for _, e := range entries {
		if s, ok := e.fact.(shown); ok && s.Device.PortPath == b.Device.Port {
			why = fmt.Sprintf("%s: %s", s.Device.Trust, s.Device.Reason)
		}
	}
	err = fmt.Errorf("on the bus, and not listed within %v: %s", c.person.limit, why)
	c.report.set(linePlug, fail, "%v", err)
	return err
}

func (c *check) tellDescriptors(b onBus) {
	if b.descriptors == nil {
		c.report.set(lineDescriptors, fail, "cannot be read")
		return
	}
	c.report.set(lineDescriptors, pass, "%04x:%04x release %04x, %d configurations, %s; all below",
		b.Device.Vendor, b.Device.Product, b.Device.BcdDevice, configurations(b.descriptors), speedText(b.Device.Speed))
}

// tellTime fills in how long a phone that was listed at a time took since it
// came at the bus.
func (c *check) tellTime(name string, place int, at time.Time) {
	b, seen, ok := find(c.journal, place, func(b onBus) bool { return b.Action == hotplug.Add && b.phone() })
	switch {
	case !ok:
		c.report.set(name, pass, "listed; the kernel's time is not known")
	case b.age < 0:
		c.report.set(name, pass, "%s after the kernel's word", seconds(at.Sub(seen)))
	default:
		c.report.set(name, pass, "%s after the kernel had it", seconds(at.Sub(seen.Add(-b.age))))
	}
}

// tellModes fills in what became of the phone's USB mode and configuration.
func (c *check) tellModes(d client.Device, place int) {
	claimed, ok := last(c.journal, place, saying("claimed"))
	if !ok {
		c.report.set(lineMode, notTried, "the daemon did not say")
		c.report.set(lineConfiguration, notTried, "the daemon did not say")
		return
	}
	words := []string{claimed.field("mode")}
	if tells, ok := last(c.journal, place, saying("phone tells its USB mode")); ok {
		if b, err := base64.StdEncoding.DecodeString(tells.field("answer")); err == nil {
			words = append(words, fmt.Sprintf("GET_MODE answered % x", b))
		}
	}
	switch n := count(c.journal, place, saying(switched)); {
	case n > 0:
		was, _ := last(c.journal, place, saying(switched))
		words = append(words, fmt.Sprintf("switched from %s to %s, %d times", was.field("mode"), was.field("wanted"), n))
	case count(c.journal, place, saying("phone refuses the USB mode")) > 0:
		words = append(words, "refused another mode")
	default:
		words = append(words, "as it came")
	}
	c.report.set(lineMode, pass, "%s", strings.Join(words, ", "))

	active := "?"
	if b, ok := c.busOf(d); ok {
		if text, err := os.ReadFile(filepath.Join(c.cfg.sysRoot, b.Device.Path, "bConfigurationValue")); err == nil {
			active = strings.TrimSpace(string(text))
		}
	}
	how := "active when it came"
	if set, ok := last(c.journal, place, saying("configured")); ok {
		how = fmt.Sprintf("set by the daemon, before it was %d", set.number("before"))
	}
	c.report.set(lineConfiguration, pass, "%d (the kernel: %s), %s; interface %d, endpoints %02x of %d and %02x of %d bytes",
		claimed.number("configuration"), active, how, claimed.number("interface"),
		claimed.number("in"), claimed.number("in_max"), claimed.number("out"), claimed.number("out_max"))
	c.borders.packet = max(claimed.number("in_max"), claimed.number("out_max"))
}

// switched is what the daemon says of a mode switch.
const switched = "switched the USB mode, the phone comes back by itself"

// tellGreeting fills in how the phone's multiplexer answered.
func (c *check) tellGreeting(place int) {
	if v, ok := last(c.journal, place, saying("phone tells its version")); ok {
		c.report.set(lineVersion, pass, "version %d.%d, %d bytes", v.number("major"), v.number("minor"), v.number("bytes"))
	}
}

// identify asks lockdownd who it is, over the first connection that the phone
// takes.
func (c *check) identify(ctx context.Context, d client.Device) error {
	l, err := lockdown.Dial(ctx, c.dial(d), lockdown.Config{})
	if err != nil {
		return err
	}
	defer l.Close()
	c.report.set(lineSetup, pass, "and a connection after it")
	kind, err := l.QueryType(ctx)
	if err != nil {
		return err
	}
	id, err := l.Identity(ctx)
	if err != nil {
		return err
	}
	if err := learnPhone(ctx, c.secrets, l); err != nil {
		return err
	}
	c.model = fmt.Sprintf("%s (%s), %s %s", id.ProductType, model.Name(id.ProductType), id.ProductVersion, id.BuildVersion)
	c.report.set(lineIdentity, pass, "%s: %s", kind, c.model)
	c.person.say("%s", c.model)
	return nil
}

// last gives the last line of the log since a place that match accepts.
func last(j *journal, place int, match func(logged) bool) (found logged, ok bool) {
	entries, _ := j.since(place)
	for _, e := range entries {
		if l, is := e.fact.(logged); is && match(l) {
			found, ok = l, true
		}
	}
	return found, ok
}
