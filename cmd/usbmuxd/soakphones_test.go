//go:build virtualphone

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"gomuxd/virtualphone"
)

// own answers what a phone asks its owner, in all moods if moody, unless kindness is
// called for.
func (s *soak) own(ctx context.Context, p *virtualphone.Phone, moody bool, random *rand.Rand) {
	for {
		st, err := p.Wait(ctx, func(st virtualphone.State) bool { return st.Locked || st.Dialog != virtualphone.NoDialog })
		if err != nil {
			return
		}
		if !pause(ctx, time.Duration(random.IntN(200))*time.Millisecond) {
			return
		}
		mood := 0
		if moody && !s.kind.Load() {
			mood = random.IntN(6)
		}
		// What is asked may have gone away meanwhile: no answer can then be given.
		switch {
		case st.Dialog == virtualphone.TrustDialog && mood == 1:
			_ = p.TapDontTrust()
		case st.Dialog == virtualphone.TrustDialog && mood == 2:
			_ = p.DismissDialog()
		case st.Dialog == virtualphone.TrustDialog:
			_ = p.TapTrust()
		case st.Dialog == virtualphone.PasscodeDialog && mood == 3:
			_ = p.CancelPasscode()
		case st.Dialog == virtualphone.PasscodeDialog:
			_ = p.EnterPasscode(soakCode)
		case st.Locked && st.Dialog == virtualphone.NoDialog:
			_ = p.Unlock(soakCode)
		}
	}
}

// pause waits, and reports whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err() == nil
}

// troubles are what may befall a phone.
var troubles = []func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand){
	func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) { // pulled, for a while
		p.Unplug()
		pause(ctx, time.Duration(random.IntN(500))*time.Millisecond)
	},
	func(_ context.Context, p *virtualphone.Phone, _ *rand.Rand) { p.Unplug() }, // and put back at once
	func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) { // pulled in the middle of something
		p.UnplugAfter(1 + random.IntN(200))
		pause(ctx, time.Second)
		p.UnplugAfter(0)
	},
	func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) {
		p.SetFaults(faults[random.IntN(len(faults))])
		pause(ctx, time.Duration(random.IntN(2000))*time.Millisecond)
		p.SetFaults(virtualphone.Faults{})
	},
	func(_ context.Context, p *virtualphone.Phone, _ *rand.Rand) { p.ResetConns("enough") },
	func(_ context.Context, p *virtualphone.Phone, _ *rand.Rand) { p.ResetLocationAndPrivacy() },
	func(_ context.Context, p *virtualphone.Phone, _ *rand.Rand) { _ = p.Reboot() },
	func(_ context.Context, p *virtualphone.Phone, _ *rand.Rand) { _ = p.Lock() },
	func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) { // nonsense on the wire
		b := make([]byte, 1+random.IntN(64<<10))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		_ = p.Inject(b)
		pause(ctx, time.Duration(random.IntN(500))*time.Millisecond)
		p.Unplug() // it is out of step
	},
	func(_ context.Context, p *virtualphone.Phone, random *rand.Rand) {
		_ = p.SendControl(byte(random.IntN(10)), "something \x00\x1b[31m")
		_ = p.SendPacket(random.Uint32N(10)+10, []byte("what no one knows"))
	},
	func(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) { // lockdownd is not well
		requests := []string{"QueryType", "GetValue", "StartSession", "Pair", "StopSession", "SetValue"}
		request := requests[random.IntN(len(requests))]
		switch kinds := virtualphone.GarbageKinds(); random.IntN(3) {
		case 0:
			p.SilenceNext(request)
		case 1:
			p.GarbageNext(request, kinds[random.IntN(len(kinds))])
		case 2:
			p.FailNext(request, "InvalidHostID")
		}
		pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
		p.Heal(request)
	},
}

var faults = []virtualphone.Faults{
	{SilentVersion: true}, {SilentSYN: true}, {StallIn: true}, {StopAcking: true}, {ClosedWindow: true},
	{Flood: true}, {FragmentIn: 512}, {FragmentIn: 4096}, {CoalesceIn: true}, {StalePackets: 5},
	{ResetAfter: 1}, {ResetAfter: 10_000, ResetText: "not any more"}, {SYNFlags: 0x10}, {SYNFlags: 0x02}, {DataFlags: 0x08}, {DataFlags: 0x01},
}

// trouble has things befall a phone until ctx ends, and leaves it plugged in and well.
func (s *soak) trouble(ctx context.Context, p *virtualphone.Phone, random *rand.Rand) {
	for pause(ctx, time.Duration(50+random.IntN(1500))*time.Millisecond) {
		troubles[random.IntN(len(troubles))](ctx, p, random)
		s.mischief.Add(1)
		if p.Cable() == nil {
			if _, err := p.Plug(); err != nil {
				s.t.Error(err)
			}
		}
	}
}
