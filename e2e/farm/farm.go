// Package farm is a farm of virtual phones of all kinds behind the real daemon,
// with owners who answer some of them and clients that transfer: what dashboards
// are tested and shown with.
package farm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"time"

	"gomuxd/e2e"
	"gomuxd/socket/client"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/bus"
)

// Farm is a running daemon and its phones.
type Farm struct {
	*e2e.Rig
	Phones []*virtualphone.Phone

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// owner is what the person at a phone does.
type owner string

const (
	trusts  owner = "trusts"
	denies  owner = "denies"
	nobody  owner = "nobody"  // is there: the question stays
	passing owner = "passing" // taps Trust, and does not enter the passcode
	locked  owner = "locked"  // leaves it locked since its start
)

// breed is a kind of phone on the farm.
type breed struct {
	preset, name string
	owner        owner
}

// breeds are the first phones of a farm; the others are like the last ones.
var breeds = []breed{
	{"iphone-17", "Anna’s iPhone", trusts},
	{"iphone-13", "Bo’s phone", nobody},
	{"ipad-9", "Front desk", trusts},
	{"iphone-13", "Clara", denies},
	{"iphone-8", "Lab 01", locked},
	{"appletv", "Meeting room", trusts},
	{"ipod-7", "Old iPod", trusts},
	{"iphone-13", "Demo unit", passing},
	{"iphone-13", "Test", trusts},
	{"iphone-17", "Build", trusts},
	{"iphone-8", "Legacy", trusts},
	{"ipad-9", "Kiosk", trusts},
}

const kept = 4 // breeds at the end of the list that the rest of a farm is of

func breedOf(i int) breed {
	if i < len(breeds)-kept {
		return breeds[i]
	}
	b := breeds[len(breeds)-kept+(i-len(breeds)+kept)%kept]
	b.name = fmt.Sprintf("%s %02d", b.name, (i-len(breeds)+kept)/kept+1)
	return b
}

// UDID is that of phone i of a farm.
func UDID(i int) (string, error) {
	cfg, err := virtualphone.Preset(breedOf(i).preset)
	if err != nil {
		return "", err
	}
	const own = 4 // digits at the end
	return fmt.Sprintf("%s%0*x", cfg.UDID[:len(cfg.UDID)-own], own, 0xa000+i), nil
}

// Start plugs n phones into a daemon of bin whose files are below dir. The caller
// must Close the farm.
func Start(bin e2e.Binaries, dir string, n int, args ...string) (*Farm, error) {
	f := &Farm{}
	for i := range n {
		b := breedOf(i)
		cfg, err := virtualphone.Preset(b.preset)
		if err != nil {
			return nil, err
		}
		cfg.Name = b.name
		if cfg.UDID, err = UDID(i); err != nil {
			return nil, err
		}
		if b.owner == passing || b.owner == locked {
			cfg.Passcode = "123456"
			cfg.Locked = b.owner == locked
		}
		p, err := virtualphone.New(cfg)
		if err != nil {
			return nil, err
		}
		f.Phones = append(f.Phones, p)
	}
	b := bus.New(f.Phones)
	path := filepath.Join(dir, "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.wg.Go(func() { _ = b.Serve(ctx, l) })
	if f.Rig, err = e2e.Start(bin, e2e.Config{Dir: dir, Bus: path, Args: args}); err != nil {
		f.end()
		return nil, err
	}
	for i, p := range f.Phones {
		f.wg.Go(func() { attend(ctx, p, breedOf(i).owner) })
	}
	return f, f.Plug()
}

// Plug plugs in the phones that are not.
func (f *Farm) Plug() error {
	for _, p := range f.Phones {
		if p.Cable() != nil {
			continue
		}
		if _, err := p.Plug(); err != nil {
			return err
		}
	}
	return nil
}

// attend is the person at a phone, who answers each question.
func attend(ctx context.Context, p *virtualphone.Phone, o owner) {
	for {
		s, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == virtualphone.TrustDialog })
		if err != nil || s.Dialog != virtualphone.TrustDialog {
			return
		}
		switch o {
		case trusts, passing:
			_ = p.TapTrust()
		case denies:
			_ = p.TapDontTrust()
		default:
			return
		}
		if o == passing {
			return
		}
	}
}

// Close ends all, and fails unless that goes well and no phone counted a violation
// of the protocol.
func (f *Farm) Close() error {
	err := f.Rig.Stop()
	f.end()
	for _, p := range f.Phones {
		if v := p.Violations(); v.Total() > 0 {
			err = errors.Join(err, fmt.Errorf("%s counted protocol violations: %v %q", p.UDID(), v, p.ViolationNotes()))
		}
	}
	return err
}

func (f *Farm) end() {
	f.stop()
	for _, p := range f.Phones {
		p.Close()
	}
	f.wg.Wait()
}

// Transfer has clients move bytes to and from the phones with these numbers, each
// at its own pace around so many bytes per second, until ctx ends.
func (f *Farm) Transfer(ctx context.Context, mean int, phones ...int) {
	for _, i := range phones {
		f.wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				to := r.IntN(3) == 0
				n := int(float64(mean) * (2 + r.ExpFloat64()*4))
				_ = f.transfer(ctx, f.Phones[i].UDID(), to, n, time.Duration(4+r.IntN(20))*time.Second) // unplugged, or the daemon is away
				pause(ctx, time.Duration(r.ExpFloat64()*float64(12*time.Second))+time.Second)
			}
		})
	}
}

// transfer moves n bytes within a time.
func (f *Farm) transfer(ctx context.Context, udid string, to bool, n int, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d+10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, f.Socket)
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.ListDevices(ctx)
	if err != nil {
		return err
	}
	for _, dev := range devices {
		if dev.UDID != udid {
			continue
		}
		port := uint16(virtualphone.SourcePort)
		if to {
			port = virtualphone.SinkPort
		}
		conn, err := c.Connect(ctx, dev.ID, port)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if !to {
			var head [16]byte
			binary.BigEndian.PutUint64(head[:], uint64(n))
			if _, err := conn.Write(head[:]); err != nil {
				return err
			}
		}
		const pieces = 20
		piece := make([]byte, max(1, n/pieces))
		for range pieces {
			if to {
				_, err = conn.Write(piece)
			} else {
				_, err = io.ReadFull(conn, piece)
			}
			if err != nil {
				return err
			}
			pause(ctx, d/pieces)
		}
		return nil
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
