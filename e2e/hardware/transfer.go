package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path"
	"strings"
	"time"

	"gomuxd/socket/client"
)

// file is what is written to the phone, to be removed again.
type file struct {
	dir, name string
	there     bool // perhaps
	madeDir   bool
}

const (
	// fileDir is where computers put what is for the system to pick up; no program
	// on the phone shows it.
	fileDir    = "PublicStaging"
	filePrefix = "gomuxd-check-"

	// spare is what must be free on the phone beside the file, in bytes.
	spare = 256 << 20

	// slowest is the rate, in bytes a second, below which a transfer is given up.
	slowest = 256 << 10
)

// work does something that takes a while and that the person may skip. do must
// end soon after its ctx.
func (c *check) work(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { // waited for below
		err := do(ctx)
		done <- err
		c.journal.add(worked{err})
	}()
	finished := false
	var result error
	err := c.person.await(ctx, limit, func(*string) (bool, error) {
		select {
		case result = <-done:
			finished = true
		default:
		}
		return finished, nil
	})
	if finished {
		return result
	}
	cancel()
	<-done
	return err
}

// worked is the end of some work.
type worked struct{ err error }

func (worked) source() string { return "check" }
func (w worked) String() string {
	if w.err != nil {
		return "ended: " + w.err.Error()
	}
	return "done"
}

// openAFC starts the service anew.
func (c *check) openAFC(ctx context.Context, d client.Device) (*afc, error) {
	l, err := c.session(ctx, d)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	a, _, err := c.startAFC(ctx, l)
	return a, err
}

// transfer sends a file to the phone and back, tries packets of all lengths, and
// removes the file.
func (c *check) transfer(ctx context.Context) error {
	d, err := c.phone(ctx)
	if err != nil {
		return err
	}
	if !c.trusted {
		return errStranger
	}
	c.person.tell(fmt.Sprintf("%s go to the iPhone and back. Leave it alone.", sizeText(c.cfg.size)), "s and Enter skips this")
	limit := time.Minute + time.Duration(c.cfg.size/slowest)*time.Second
	err = c.work(ctx, 2*limit, func(ctx context.Context) error {
		a, err := c.openAFC(ctx, d)
		if err != nil {
			return err
		}
		defer a.Close()
		defer a.during(ctx)()
		return c.sendAndFetch(a)
	})
	if err == nil {
		err = c.work(ctx, 3*c.person.limit, func(ctx context.Context) error { return c.lengths(ctx, d) })
	}
	if err = c.blame(ctx, err); errors.Is(err, errGone) || ctx.Err() != nil {
		return err // it is removed later
	}
	if rerr := c.removeFile(ctx); rerr != nil {
		c.report.set(lineRemoved, fail, "%v", rerr)
	} else {
		c.report.set(lineRemoved, pass, "and no other is left of a run before")
	}
	return err
}

// sendAndFetch sends a file of random bytes and compares what comes back.
func (c *check) sendAndFetch(a *afc) error {
	free, err := a.free()
	if err != nil {
		return err
	}
	if free < c.cfg.size+c.cfg.spare {
		return fmt.Errorf("the phone has only %s free; a smaller file is sent with --size", sizeText(free))
	}
	if err := c.makeDir(a); err != nil {
		return err
	}
	var seed [32]byte
	rand.Read(seed[:])

	took, err := c.send(a, mathrand.NewChaCha8(seed))
	if err != nil {
		return fmt.Errorf("file to the phone: %w", err)
	}
	c.report.set(lineUp, pass, "%s", rate(c.cfg.size, took))
	c.person.say("to the iPhone: %s", rate(c.cfg.size, took))
	if took, err = c.fetch(a, mathrand.NewChaCha8(seed)); err != nil {
		return fmt.Errorf("file from the phone: %w", err)
	}
	c.report.set(lineDown, pass, "%s", rate(c.cfg.size, took))
	c.person.say("and back:      %s", rate(c.cfg.size, took))
	return nil
}

// makeDir makes the directory, if need be, and removes what an earlier run may
// have left there.
func (c *check) makeDir(a *afc) error {
	c.file = file{dir: fileDir, name: filePrefix + strings.ToLower(rand.Text()[:8])}
	_, err := removeAll(a, c.file.dir)
	if errors.Is(err, afcNotFound) {
		if err := a.mkdir(c.file.dir); err != nil {
			return fmt.Errorf("make %s: %w", c.file.dir, err)
		}
		c.file.madeDir = true
		return nil
	}
	return err
}

// removeAll removes the files of this run and of those before, and says how many
// others the directory has.
func removeAll(a *afc, dir string) (others int, err error) {
	all, err := a.list(dir)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", dir, err)
	}
	for _, name := range all {
		if !strings.HasPrefix(name, filePrefix) {
			others++
			continue
		}
		if err := a.remove(path.Join(dir, name)); err != nil {
			return others, fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if all, err = a.list(dir); err == nil && len(all) > others {
		err = errors.New("the phone still lists what was removed")
	}
	return others, err
}

// send writes the file.
func (c *check) send(a *afc, data *mathrand.ChaCha8) (time.Duration, error) {
	c.file.there = true
	h, err := a.open(path.Join(c.file.dir, c.file.name), afcForBoth)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, afcPiece)
	begun := time.Now()
	defer c.person.drawn()
	for at := int64(0); at < c.cfg.size; {
		b := buf[:min(int64(len(buf)), c.cfg.size-at)]
		data.Read(b) // never fails
		if err := a.write(h, b); err != nil {
			return 0, err
		}
		at += int64(len(b))
		c.person.progress("to the iPhone: %3d %%, %.1f MiB/s ", at*100/c.cfg.size, float64(at)/(1<<20)/time.Since(begun).Seconds())
	}
	if err := a.closeFile(h); err != nil {
		return 0, err
	}
	return time.Since(begun), nil
}

// fetch reads the file and compares it.
func (c *check) fetch(a *afc, data *mathrand.ChaCha8) (time.Duration, error) {
	h, err := a.open(path.Join(c.file.dir, c.file.name), afcForRead)
	if err != nil {
		return 0, err
	}
	buf, want := make([]byte, afcPiece), make([]byte, afcPiece)
	begun := time.Now()
	defer c.person.drawn()
	at := int64(0)
	for {
		n, err := a.read(h, buf)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		data.Read(want[:n])
		if !bytes.Equal(buf[:n], want[:n]) {
			return 0, fmt.Errorf("the bytes from %d to %d differ", at, at+int64(n))
		}
		at += int64(n)
		c.person.progress("from the iPhone: %3d %%, %.1f MiB/s ", at*100/c.cfg.size, float64(at)/(1<<20)/time.Since(begun).Seconds())
	}
	if at != c.cfg.size {
		return 0, fmt.Errorf("%d of %d bytes came", at, c.cfg.size)
	}
	return time.Since(begun), a.closeFile(h)
}

// removeFile removes the file, over a connection of its own, and the directory
// if it was not there before.
func (c *check) removeFile(ctx context.Context) error {
	if !c.file.there {
		return nil
	}
	d, here := c.present()
	if !here {
		return errGone
	}
	a, err := c.openAFC(ctx, d)
	if err != nil {
		return err
	}
	defer a.Close()
	defer a.during(ctx)()
	left, err := removeAll(a, c.file.dir)
	if err != nil {
		return err
	}
	c.file.there = false
	if c.file.madeDir && left == 0 {
		if err := a.remove(c.file.dir); err != nil {
			return err
		}
		c.file.madeDir = false
	}
	return nil
}

// borders is what came of packets of all lengths up to one USB packet, some of
// which fill it to the last byte: those must be ended by one of length zero.
type borders struct {
	packet int // bytes of a USB packet, 0 unknown
	tried  int // lengths
	err    error
}

// lengths writes and reads pieces of each length. Whatever the layers below add
// to them, some of the packets fill a USB packet. A side that does not end such
// a packet leaves the other waiting.
func (c *check) lengths(ctx context.Context, d client.Device) (err error) {
	if c.borders.packet == 0 {
		return nil // not on USB
	}
	defer func() {
		if ctx.Err() == nil { // else it was stopped, and has not failed
			c.borders.err = err
		}
	}()
	a, err := c.openAFC(ctx, d)
	if err != nil {
		return err
	}
	defer a.Close()
	defer a.during(ctx)()
	h, err := a.open(path.Join(c.file.dir, c.file.name), afcForBoth)
	if err != nil {
		return err
	}
	want, got := make([]byte, c.borders.packet), make([]byte, c.borders.packet)
	rand.Read(want)
	for n := 1; n <= len(want); n++ {
		err := a.rewind(h)
		if err == nil {
			err = a.write(h, want[:n])
		}
		if err == nil {
			err = a.rewind(h)
		}
		read := 0
		if err == nil {
			read, err = a.read(h, got[:n])
		}
		if err != nil {
			return fmt.Errorf("piece of %d bytes: %w", n, err)
		}
		if !bytes.Equal(got[:read], want[:n]) {
			return fmt.Errorf("piece of %d bytes came back as another", n)
		}
		c.borders.tried = n
		c.person.progress("packets of all lengths: %d of %d ", n, len(want))
	}
	c.person.drawn()
	return a.closeFile(h)
}
