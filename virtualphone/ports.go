package virtualphone

import (
	"gomuxd/virtualphone/service"
)

// Ports that always listen, without TLS; the protocols are those of package service.
const (
	EchoPort     = 7     // service.Echo: returns what it gets
	SinkPort     = 9     // service.Discard: reads and answers nothing
	ChecksumPort = 10    // service.Sink: reads a length and so many bytes, answers their SHA-256
	SourcePort   = 19    // service.Source: reads a length and a seed, answers that stream
	LockdownPort = 62078 // lockdownd
)

// Dynamic ports, as iOS hands them out for services, and how many may wait for
// their connection at a time.
const (
	firstDynamicPort = 49152
	lastDynamicPort  = 61999
	maxWaitingPorts  = 256
)

// ports are the listeners of a phone, guarded by Phone.portsMu.
type ports struct {
	fixed map[uint16]Handler
	once  map[uint16]Handler // started services, gone with their connection
	order []uint16           // keys of once, oldest first
	next  uint16             // where to look for a free dynamic port
}

// HandlePort makes the phone listen on a port; nil stops it. Connections that
// are open stay.
func (p *Phone) HandlePort(port uint16, h Handler) {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	if h == nil {
		delete(p.ports.fixed, port)
		return
	}
	p.ports.fixed[port] = h
}

// listenOnce gives h a dynamic port that takes one connection. The port that
// has waited longest is given up when too many wait.
func (p *Phone) listenOnce(h Handler) uint16 {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	s := &p.ports
	if len(s.order) >= maxWaitingPorts {
		delete(s.once, s.order[0])
		s.order = s.order[1:]
	}
	for {
		if s.next < firstDynamicPort || s.next > lastDynamicPort {
			s.next = firstDynamicPort
		}
		port := s.next
		s.next++
		if s.once[port] == nil && s.fixed[port] == nil {
			s.once[port] = h
			s.order = append(s.order, port)
			return port
		}
	}
}

// listener is who takes a connection to port, nil for nobody.
func (p *Phone) listener(port uint16) Handler {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	if h := p.ports.fixed[port]; h != nil {
		return h
	}
	h := p.ports.once[port]
	if h != nil {
		delete(p.ports.once, port)
		for i, o := range p.ports.order {
			if o == port {
				p.ports.order = append(p.ports.order[:i], p.ports.order[i+1:]...)
				break
			}
		}
	}
	return h
}

// forgetOncePorts drops services that nobody connected to.
func (p *Phone) forgetOncePorts() {
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	clear(p.ports.once)
	p.ports.order = nil
}

func (p *Phone) registerTestPorts() {
	p.HandlePort(EchoPort, service.Echo())
	p.HandlePort(SinkPort, service.Discard())
	p.HandlePort(ChecksumPort, service.Sink())
	p.HandlePort(SourcePort, service.Source())
}
