package virtualphone

// PacketSize is the size of the phone's bulk packets in bytes.
func (p *Phone) PacketSize() int { return p.cfg.MaxPacketSize }
