package usbip

// Faults are the ways the USB side misbehaves. The zero value is a healthy
// device. Counts are of transfers of the usbmux endpoints and go down as they
// happen; -1 means for ever.
type Faults struct {
	StallIn  int // endpoint halts until the host clears it
	StallOut int
	ErrorIn  int // transfer error on the bus
	ErrorOut int // the phone takes nothing then until the next VERSION
	BabbleIn int // more data than asked for
	ShortOut int // only half of the data is taken, which the phone never sees whole
	NakIn    bool
	NakOut   bool // requests stay pending until unlinked

	// RefuseConfiguration stalls SET_CONFIGURATION for these values, 0 = none.
	RefuseConfiguration []int
	// SilentControl leaves vendor requests without an answer.
	SilentControl bool
	// NoSerial stalls the serial number's string descriptor.
	NoSerial bool
	// KeepMode answers SET_MODE well and does nothing.
	KeepMode bool
	// BadDescriptors cuts configuration descriptors short in their middle.
	BadDescriptors bool
}

// SetFaults replaces the faults in force. Requests that wait on a NAK go on.
func (g *Gadget) SetFaults(f Faults) {
	g.mu.Lock()
	g.faults = f
	s := g.conn
	g.mu.Unlock()
	if s != nil {
		s.wake()
	}
}

// Faults returns the faults in force, with their counts as they stand.
func (g *Gadget) Faults() Faults {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.faults
}

// hit counts one fault down and reports whether it is due.
func hit(n *int) bool {
	if *n == 0 {
		return false
	}
	if *n > 0 {
		*n--
	}
	return true
}

// verdictIn says how the next IN transfer ends before it has begun: a status,
// or wait for one that does not begin.
func (g *Gadget) verdictIn() (status int32, wait bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch f := &g.faults; {
	case g.halted[muxIn]:
		return statusStall, false
	case f.NakIn:
		return 0, true
	case hit(&f.StallIn):
		g.halted[muxIn] = true
		return statusStall, false
	case hit(&f.ErrorIn):
		return statusTransfer, false
	case hit(&f.BabbleIn):
		return statusBabble, false
	}
	return statusOK, false
}

// verdictOut is verdictIn for OUT; short says that half of the data is taken.
func (g *Gadget) verdictOut() (status int32, wait, short bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch f := &g.faults; {
	case g.halted[muxOut]:
		return statusStall, false, false
	case f.NakOut:
		return 0, true, false
	case hit(&f.StallOut):
		g.halted[muxOut] = true
		return statusStall, false, false
	case hit(&f.ErrorOut):
		return statusTransfer, false, false
	case hit(&f.ShortOut):
		return statusOK, false, true
	}
	return statusOK, false, false
}
