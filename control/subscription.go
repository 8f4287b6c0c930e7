package control

// Subscription is one reader of a Hub's events.
type Subscription struct {
	hub    *Hub
	events chan *Event

	closed bool  // guarded by Hub.mu, with the right to send
	err    error // guarded by Hub.mu
}

// Events returns the channel of events, in the order in which they happened.
// They are shared with other readers and must not be changed. The channel is
// closed by Close, and if Config.QueueEvents wait in it when the next is due:
// nobody waits for a slow reader.
func (s *Subscription) Events() <-chan *Event { return s.events }

// Err tells why the channel was closed: an Error with CodeSlow, or nil if the
// reader closed it.
func (s *Subscription) Err() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.err
}

// Close ends the subscription. Events that wait may still be read. Further calls
// do nothing.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.closeLocked(nil)
}

func (s *Subscription) closeLocked(err error) {
	if s.closed {
		return
	}
	s.closed, s.err = true, err
	delete(s.hub.subscribers, s)
	close(s.events)
}

// publishLocked queues an event with every subscriber and drops those whose
// queue is full.
func (h *Hub) publishLocked(kind EventType, d Device) {
	e := &Event{Type: kind, Device: d, Time: now()}
	for s := range h.subscribers {
		select {
		case s.events <- e:
		default:
			s.closeLocked(Errorf(CodeSlow, "%d events wait unread: subscribe again, which begins with a full list", cap(s.events)))
		}
	}
}
