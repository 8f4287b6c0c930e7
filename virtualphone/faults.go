package virtualphone

// Faults are the ways a phone misbehaves on the wire. The zero value is a
// healthy phone. They can be changed at any time with Phone.SetFaults.
type Faults struct {
	SilentVersion bool // never answers VERSION
	SilentSYN     bool // never answers SYN
	StallIn       bool // nothing comes out of the IN endpoint
	StallOut      bool // a Pipe's Write waits: nothing goes into the OUT endpoint
	UntilReset    bool // all of them end with a USB reset
	FragmentIn    int  // bytes: no IN transfer is longer, 0 = off; a multiple of the packet size
	CoalesceIn    bool // IN transfers carry as many packets as fit
	StalePackets  int  // made-up v2 TCP packets of an old session sent before the VERSION reply
	Flood         bool // data ignores the host's window and acks
	StopAcking    bool // ack numbers stand still
	ClosedWindow  bool // advertises a window of 0
	ResetText     string
	// ResetAfter resets a connection once it has sent so many payload bytes, 0 = off.
	ResetAfter int
	SYNFlags   byte // answers a SYN with these flags instead of SYN+ACK, 0 = off
	DataFlags  byte // added to the flags of data segments, e.g. PSH 0x08 or FIN 0x01
}

// Faults returns the faults in force.
func (p *Phone) Faults() Faults { return *p.faults.Load() }

// SetFaults replaces the faults in force, for open connections too.
func (p *Phone) SetFaults(f Faults) {
	p.faults.Store(&f)
	if c := p.plugged(); c != nil {
		c.kick()
	}
}

// Inject queues raw bytes as one IN message: garbage, a packet of an unknown
// protocol, a made-up segment. It copies b and reports ErrUnplugged without a cable.
func (p *Phone) Inject(b []byte) error {
	c := p.plugged()
	if c == nil {
		return ErrUnplugged
	}
	return c.inject(append([]byte(nil), b...))
}

// SendControl queues a CONTROL message with level 3 (error), 5 (warning),
// 7 (info) or any other, numbered like every packet of the link.
func (p *Phone) SendControl(level byte, text string) error {
	return p.sendPacket(protoControl, append([]byte{level}, text...))
}

// SendPacket queues a packet of any protocol with a valid mux header.
func (p *Phone) SendPacket(proto uint32, body []byte) error { return p.sendPacket(proto, body) }

func (p *Phone) sendPacket(proto uint32, body []byte) error {
	c := p.plugged()
	if c == nil {
		return ErrUnplugged
	}
	return c.sendPacket(proto, body)
}

// UnplugAfter pulls the cable once the host has sent so many more packets, so that
// it goes in the middle of something; without a cable, the next one that is plugged
// in. 0 takes that back.
func (p *Phone) UnplugAfter(packets int) {
	p.plugMu.Lock()
	defer p.plugMu.Unlock()
	packets = max(packets, 0)
	c := p.plugged()
	if c == nil {
		p.unplugIn = packets
		return
	}
	c.mu.Lock()
	defer c.unlock()
	c.unplugIn = packets
}

// ResetConns ends every open connection with an RST that carries text; what
// services wrote before is dropped.
func (p *Phone) ResetConns(text string) {
	if c := p.plugged(); c != nil {
		c.resetAll(text)
	}
}
