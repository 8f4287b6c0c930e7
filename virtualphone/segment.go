package virtualphone

// tcp judges one TCP packet of the host and applies it. body is not kept.
func (l *link) tcp(body []byte) {
	p, v := l.phone(), l.violations()
	if len(body) < tcpHeader {
		p.violate(&v.BadLength, "TCP packet of %d bytes", len(body))
		return
	}
	s := parseSegment(body)
	payload := body[tcpHeader:]
	if s.offset != 5 || s.checksum != 0 || s.urgent != 0 {
		p.violate(&v.BadHeader, "data offset %d, checksum %d, urgent %d", s.offset, s.checksum, s.urgent)
	}
	pr := pair{host: s.src, phone: s.dst}
	if s.flags&flagSYN != 0 {
		l.syn(pr, s, payload)
		return
	}
	k := l.conns[pr]
	if k == nil {
		l.stray(pr, s, payload)
		return
	}
	if s.flags&flagRST != 0 {
		if s.flags != flagRST {
			p.violate(&v.BadFlags, "RST with flags %#02x", s.flags)
		}
		delete(l.conns, pr)
		l.remember(pr, endedByHost)
		k.goneLocked(ErrHostGone)
		return
	}
	if s.flags != flagACK {
		p.violate(&v.BadFlags, "flags %#02x on an open connection", s.flags)
		if s.flags&flagACK == 0 || s.flags&flagFIN != 0 {
			k.abortLocked("unexpected flags")
			return
		}
	}
	k.inputLocked(s, payload)
}

// syn answers a SYN: accepted, refused, or in the way of a living conn.
func (l *link) syn(pr pair, s segment, payload []byte) {
	p, v := l.phone(), l.violations()
	if s.flags != flagSYN {
		p.violate(&v.BadFlags, "SYN with flags %#02x", s.flags)
	}
	if s.seq != 0 || s.ack != 0 || s.window != windowField && s.window != smallWindowField || len(payload) != 0 || pr.host == 0 {
		p.violate(&v.BadSYN, "SYN from port %d with seq %d, ack %d, window %d, %d bytes", pr.host, s.seq, s.ack, s.window, len(payload))
	}
	if k := l.conns[pr]; k != nil {
		p.violate(&v.PortInUse, "SYN from port %d to %d, which are connected", pr.host, pr.phone)
		delete(l.conns, pr)
		k.goneLocked(ErrHostGone)
		l.reset(pr, 0, s.seq+1, "connection exists")
		return
	}
	l.forget(pr)
	if p.faults.Load().SilentSYN {
		return
	}
	var h Handler
	if !p.restricted.Load() {
		h = p.listener(pr.phone)
	}
	if h == nil || len(l.conns) >= maxConns || pr.host == 0 {
		p.stats.refused.Add(1)
		l.reset(pr, 0, s.seq+1, "")
		return
	}
	l.accept(pr, s, h)
}

// stray judges a segment of no living conn.
func (l *link) stray(pr pair, s segment, payload []byte) {
	p, v := l.phone(), l.violations()
	if s.flags&flagRST != 0 {
		if s.flags != flagRST {
			p.violate(&v.BadFlags, "RST with flags %#02x", s.flags)
		}
		if _, ok := l.ended[pr]; ok {
			l.ended[pr] = endedByHost
		}
		return
	}
	switch l.ended[pr] {
	case endedByPhone: // was in flight when our RST left
	case endedByHost:
		p.violate(&v.AfterRST, "segment of %d bytes from port %d after its RST", len(payload), pr.host)
	default:
		p.violate(&v.UnknownConn, "segment of %d bytes from port %d to %d, which are not connected", len(payload), pr.host, pr.phone)
		l.reset(pr, 0, s.seq, "")
	}
}
