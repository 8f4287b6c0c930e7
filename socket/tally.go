package socket

// tally counts one user's clients, and of them those whose connections have large
// buffers: what all may hold together is bounded by these being few.
type tally struct{ all, large int }

// takeLarge counts c among those with large buffers, unless there are enough of them.
// A giveLarge may follow in any case.
func (s *Server) takeLarge(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.users[c.user]
	if s.large >= s.cfg.Large || t.large >= s.cfg.UserLarge {
		return false
	}
	c.large = true
	s.large++
	t.large++
	s.users[c.user] = t
	return true
}

func (s *Server) giveLarge(c *client) {
	if !c.large {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.large = false
	s.large--
	t := s.users[c.user]
	t.large--
	s.users[c.user] = t
}
