//go:build virtualphone

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown"
	"gomuxd/plist"
	"gomuxd/socket/client"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// errWrong is wrapped by the error of what must not be, whatever befalls a phone.
var errWrong = errors.New("wrong")

// client is a client that does this and that until ctx ends.
func (s *soak) client(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		n := random.IntN(len(s.phones))
		deed := soakDeeds[random.IntN(len(soakDeeds))]
		err := deed.do(s, ctx, s.phones[n], n < soakSteady, random)
		switch {
		case err == nil:
		case errors.Is(err, errWrong), n < soakSteady:
			s.t.Errorf("%s with phone %d: %v", deed.name, n, err)
			s.dump.Do(func() { s.t.Logf("then:\n%s", stacks()) })
			return
		default:
			s.cut.Add(1)
		}
	}
}

// soakDeeds are what clients do, some oftener than others. An error that does not
// wrap errWrong is one that the phone's fate may be the reason for.
var soakDeeds = []struct {
	name string
	do   func(s *soak, ctx context.Context, p *virtualphone.Phone, steady bool, random *rand.Rand) error
}{
	{"echo", (*soak).echo}, {"echo", (*soak).echo}, {"echo", (*soak).echo},
	{"download", (*soak).download}, {"download", (*soak).download}, {"download", (*soak).download},
	{"upload", (*soak).upload}, {"upload", (*soak).upload},
	{"slow download", (*soak).slow},
	{"stuck download", (*soak).stuck},
	{"short visit", (*soak).visit}, {"short visit", (*soak).visit},
	{"refused connection", (*soak).refused},
	{"lockdown", (*soak).lockdown},
	{"events", (*soak).listen},
	{"records", (*soak).keep}, {"records", (*soak).keep},
	{"noise", (*soak).noise},
	{"operator", (*soak).operate},
}

// connect connects to a port of a phone, as a client program does.
func (s *soak) connect(p *virtualphone.Phone, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soakLimit)
	defer cancel()
	c, err := client.Dial(ctx, s.socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrong, err)
	}
	defer c.Close()
	all, err := c.ListDevices(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrong, err)
	}
	s.requests.Add(1)
	for _, d := range all {
		if d.UDID == p.UDID() {
			conn, err := c.Connect(ctx, d.ID, port)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(soakLimit))
		}
	}
	return nil, errors.New("not in the list")
}

// take verifies what comes of a seed's stream, in pieces of buf, with a pause after each.
func (s *soak) take(c net.Conn, seed, size uint64, buf []byte, between func()) error {
	for at := uint64(0); at < size; {
		n, err := c.Read(buf[:min(uint64(len(buf)), size-at)])
		if verr := service.Verify(seed, at, buf[:n]); verr != nil {
			return fmt.Errorf("%w: %w", errWrong, verr)
		}
		at += uint64(n)
		s.bytes.Add(uint64(n))
		if err != nil && at < size {
			return fmt.Errorf("after %d of %d bytes: %w", at, size, err)
		}
		between()
	}
	s.transfers.Add(1)
	return nil
}

// give sends a seed's stream.
func give(c net.Conn, seed, size uint64) error {
	buf := make([]byte, 32<<10)
	for at := uint64(0); at < size; {
		n := min(uint64(len(buf)), size-at)
		service.Fill(seed, at, buf[:n])
		if _, err := c.Write(buf[:n]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (s *soak) echo(_ context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	c, err := s.connect(p, virtualphone.EchoPort)
	if err != nil {
		return err
	}
	defer c.Close()
	seed, size := random.Uint64(), random.Uint64N(1<<(8+random.UintN(13)))
	sent := make(chan error, 1)
	go func() { sent <- give(c, seed, size) }()
	err = s.take(c, seed, size, make([]byte, 32<<10), func() {})
	c.Close() // it may wait for a phone that takes nothing
	return errors.Join(err, ignoreErr(<-sent, net.ErrClosed))
}

// source connects to a phone that then sends a seed's stream.
func (s *soak) source(p *virtualphone.Phone, size, seed uint64) (net.Conn, error) {
	c, err := s.connect(p, virtualphone.SourcePort)
	if err != nil {
		return nil, err
	}
	if err := binary.Write(c, binary.BigEndian, [2]uint64{size, seed}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (s *soak) download(_ context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	seed, size := random.Uint64(), random.Uint64N(1<<(8+random.UintN(15)))
	c, err := s.source(p, size, seed)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.take(c, seed, size, make([]byte, 1+random.IntN(256<<10)), func() {}); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 {
		return fmt.Errorf("%w: a byte after the last one", errWrong)
	} else if err != io.EOF {
		return fmt.Errorf("after the last byte: %v", err)
	}
	return nil
}

func (s *soak) upload(_ context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	c, err := s.connect(p, virtualphone.ChecksumPort)
	if err != nil {
		return err
	}
	defer c.Close()
	seed, size := random.Uint64(), random.Uint64N(1<<(8+random.UintN(13)))
	if err := binary.Write(c, binary.BigEndian, size); err != nil {
		return err
	}
	if err := give(c, seed, size); err != nil {
		return err
	}
	var got [sha256.Size]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return err
	}
	all := make([]byte, size)
	service.Fill(seed, 0, all)
	if got != sha256.Sum256(all) {
		return fmt.Errorf("%w: sum of %d bytes", errWrong, size)
	}
	s.bytes.Add(size)
	s.transfers.Add(1)
	return nil
}

// slow reads a little at a time.
func (s *soak) slow(ctx context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	seed, size := random.Uint64(), uint64(300_000)
	c, err := s.source(p, size, seed)
	if err != nil {
		return err
	}
	defer c.Close()
	s.rude.Add(1)
	return s.take(c, seed, size, make([]byte, 2000), func() { pause(ctx, 5*time.Millisecond) })
}

// stuck asks for much, reads nothing and leaves.
func (s *soak) stuck(ctx context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	c, err := s.source(p, 64<<20, random.Uint64())
	if err != nil {
		return err
	}
	defer c.Close()
	s.rude.Add(1)
	pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
	return nil
}

// visit connects and leaves, perhaps in the middle of its request.
func (s *soak) visit(_ context.Context, p *virtualphone.Phone, _ bool, random *rand.Rand) error {
	if random.IntN(2) == 0 {
		c, err := s.connect(p, virtualphone.EchoPort)
		if err == nil {
			c.Close()
		}
		return err
	}
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	defer c.Close()
	s.rude.Add(1)
	m := []byte("\x18\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x07\x00\x00") // Connect to device 1
	_, err = c.Write(m[:random.IntN(len(m)+1)])
	return err
}

// refused connects to a port where nobody listens.
func (s *soak) refused(_ context.Context, p *virtualphone.Phone, steady bool, _ *rand.Rand) error {
	c, err := s.connect(p, 4)
	if err == nil {
		c.Close()
		if steady {
			return fmt.Errorf("%w: connected to nobody", errWrong)
		}
		return nil // a phone in trouble may say anything
	}
	return ignoreErr(err, syscall.ECONNREFUSED)
}

func (s *soak) lockdown(ctx context.Context, p *virtualphone.Phone, _ bool, _ *rand.Rand) error {
	c, err := lockdown.Dial(context.WithoutCancel(ctx), func(_ context.Context, port uint16) (net.Conn, error) { return s.connect(p, port) }, lockdown.Config{Timeout: soakLimit})
	if err != nil {
		return err
	}
	defer c.Close()
	kind, err := c.QueryType(context.WithoutCancel(ctx))
	if err == nil && kind != "com.apple.mobile.lockdown" {
		return fmt.Errorf("a lockdownd of type %q", kind)
	}
	return err
}

// listen hears events for a while: each device comes once, and goes once after that.
func (s *soak) listen(ctx context.Context, _ *virtualphone.Phone, _ bool, random *rand.Rand) error {
	c, err := client.Dial(context.WithoutCancel(ctx), s.socket)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx) // no deadline: the socket's would be first
	defer cancel()
	enough := time.AfterFunc(time.Duration(random.IntN(1000))*time.Millisecond, cancel)
	defer enough.Stop()
	state := map[uint32]client.Kind{}
	err = c.Listen(ctx, func(e client.Event) error {
		switch was := state[e.Device.ID]; {
		case e.Kind == client.Attached && was == "", e.Kind == client.Detached && was == client.Attached:
			state[e.Device.ID] = e.Kind
		case e.Kind == client.Paired && was == client.Attached:
		default:
			return fmt.Errorf("%s of device %d after %q", e.Kind, e.Device.ID, was)
		}
		return nil
	})
	s.requests.Add(1)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errWrong, err)
}

// keep saves, reads and deletes records of phones that are not here. Others do the
// same: what is read is one that somebody has saved, whole.
func (s *soak) keep(_ context.Context, _ *virtualphone.Phone, _ bool, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), soakLimit)
	defer cancel()
	c, err := client.Dial(ctx, s.socket)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	defer c.Close()
	s.requests.Add(1)
	udid := fmt.Sprintf("%040x", random.IntN(8))
	switch random.IntN(4) {
	case 0:
		err = ignoreErr(c.DeletePairRecord(ctx, udid), syscall.ENOENT)
	case 1, 2:
		host := fmt.Sprint(random.Uint64())
		var data []byte
		if data, err = plist.MarshalXML(map[string]any{"HostID": host, "EscrowBag": []byte(strings.Repeat(host, 500))}); err == nil {
			err = c.SavePairRecord(ctx, udid, data, 0)
		}
	default:
		var data []byte
		data, err = c.ReadPairRecord(ctx, udid)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		var r struct {
			HostID    string
			EscrowBag []byte
		}
		if err == nil {
			err = plist.Unmarshal(data, &r)
		}
		if err == nil && !bytes.Equal(r.EscrowBag, []byte(strings.Repeat(r.HostID, 500))) {
			err = errors.New("half of one record, half of another")
		}
	}
	if err == nil || errors.Is(err, syscall.ETIMEDOUT) { // the disk is slow, says the daemon
		return nil
	}
	return fmt.Errorf("%w: %w", errWrong, err)
}

// noise sends what is no request.
func (s *soak) noise(_ context.Context, _ *virtualphone.Phone, _ bool, random *rand.Rand) error {
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	defer c.Close()
	s.rude.Add(1)
	_ = c.SetDeadline(time.Now().Add(soakLimit))
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	if random.IntN(2) == 0 {
		copy(b, "\x00\x00\x01\x00\x01\x00\x00\x00\x08\x00\x00\x00") // as a message of 64 KiB
	}
	_, _ = c.Write(b) // it may not be taken to the end
	_ = c.(*net.UnixConn).CloseWrite()
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	return nil
}

// operate does what operators do: look, and now and then end or ask for trust.
func (s *soak) operate(_ context.Context, p *virtualphone.Phone, steady bool, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), soakLimit)
	defer cancel()
	c := control.Dial(s.socket + control.Suffix)
	s.requests.Add(1)
	if _, err := c.Devices(ctx); err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	if steady {
		_, err := c.Records(ctx)
		return err
	}
	var err error
	if random.IntN(2) == 0 {
		_, err = c.Untrust(ctx, p.UDID())
	} else {
		_, err = c.Trust(ctx, p.UDID(), control.TrustRequest{})
	}
	var refused *control.Error
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	return nil
}
