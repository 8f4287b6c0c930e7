package service

import "sync"

// chunkSize is the unit in bytes in which content is stored and counted. A file is a
// table of chunks, so that it grows without being copied, and holes cost nothing.
const chunkSize = 64 << 10

// content is what a file holds. Its zero value is empty. It is safe for concurrent
// use.
type content struct {
	mu     sync.RWMutex // guards all below
	size   uint64
	chunks map[uint64]*[chunkSize]byte // by offset/chunkSize; bytes beyond size are zero
}

func (c *content) len() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.size
}

// readAt copies what c holds at off to b and returns how many bytes that was: fewer
// than len(b) only at the end.
func (c *content) readAt(b []byte, off uint64) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if off >= c.size {
		return 0
	}
	b = b[:min(uint64(len(b)), c.size-off)]
	for done := 0; done < len(b); {
		at := off + uint64(done)
		piece := b[done:min(len(b), done+int(chunkSize-at%chunkSize))]
		if chunk := c.chunks[at/chunkSize]; chunk != nil {
			copy(piece, chunk[at%chunkSize:])
		} else {
			clear(piece)
		}
		done += len(piece)
	}
	return len(b)
}

// writeAt stores b at off, or at the end if atEnd is set, and returns the offset
// after what it stored: all of b, or less if s has no more space, which is
// statusNoSpace.
func (c *content) writeAt(s *space, b []byte, off uint64, atEnd bool) (uint64, status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if atEnd {
		off = c.size
	}
	for len(b) > 0 {
		chunk, st := c.chunkLocked(s, off)
		if st != statusOK {
			return off, st
		}
		n := copy(chunk[off%chunkSize:], b)
		b = b[n:]
		off += uint64(n)
		c.size = max(c.size, off)
	}
	return off, statusOK
}

// chunkLocked returns the chunk that holds off, a new one if there was a hole.
func (c *content) chunkLocked(s *space, off uint64) (*[chunkSize]byte, status) {
	if off >= uint64(s.limit) {
		return nil, statusNoSpace
	}
	if chunk := c.chunks[off/chunkSize]; chunk != nil {
		return chunk, statusOK
	}
	if !s.take(chunkSize) {
		return nil, statusNoSpace
	}
	if c.chunks == nil {
		c.chunks = make(map[uint64]*[chunkSize]byte)
	}
	chunk := new([chunkSize]byte)
	c.chunks[off/chunkSize] = chunk
	return chunk, statusOK
}

// setSize cuts c to n bytes, or extends it to n bytes with a hole.
func (c *content) setSize(s *space, n uint64) status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > uint64(s.limit) {
		return statusNoSpace
	}
	if n < c.size {
		c.cutLocked(s, n)
	}
	c.size = n
	return statusOK
}

// cutLocked frees the chunks beyond n and clears the rest of the one that holds n.
func (c *content) cutLocked(s *space, n uint64) {
	for i := range c.chunks {
		if i*chunkSize >= n {
			delete(c.chunks, i)
			s.give(chunkSize)
		}
	}
	if chunk := c.chunks[n/chunkSize]; chunk != nil {
		clear(chunk[n%chunkSize:])
	}
}

// release empties c.
func (c *content) release(s *space) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked(s, 0)
	c.size = 0
}
