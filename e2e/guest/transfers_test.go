//go:build guest

package guest_test

import (
	"fmt"
	"testing"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestTransferShapes proves that data arrive whole however the phone cuts what
// it sends: mux packets split over many short IN transfers, down to one USB
// packet each, and many mux packets in one transfer.
func TestTransferShapes(t *testing.T) {
	skipC(t, "lists no phone within a minute whose transfers hold less or more than one packet")
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		for _, faults := range []virtualphone.Faults{
			{FragmentIn: speed.PacketSize()},
			{FragmentIn: 4096},
			{CoalesceIn: true},
			{CoalesceIn: true, FragmentIn: 4096},
		} {
			name := fmt.Sprintf("%v fragment %d coalesce %v", speed, faults.FragmentIn, faults.CoalesceIn)
			t.Run(name, func(t *testing.T) {
				start(t)
				p := attach(t, 0, virtualphone.Config{Faults: faults}, usbip.Config{Speed: speed})
				ids := visible(t, p)
				if err := echo(ids[p.UDID()], 1<<20); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
