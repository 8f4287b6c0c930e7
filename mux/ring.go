package mux

import "sync"

// ringPool hands out the buffers of rings of one size.
type ringPool struct {
	size int
	pool sync.Pool
}

func newRingPool(size int) *ringPool {
	p := &ringPool{size: size}
	p.pool.New = func() any {
		b := make([]byte, size)
		return &b
	}
	return p
}

// ring is a queue of bytes with one producer and one consumer. Its fields are
// guarded by the session's lock, but the bytes between a reserve and its commit,
// and between a peek and its discard, are not: they belong to the producer or
// the consumer alone, so that copies and writes happen outside the lock.
//
// The buffer comes from the pool with the first reserve and goes back when the
// ring is empty and nobody works in it: an idle connection holds none.
type ring struct {
	pool    *ringPool
	buf     *[]byte
	start   int  // of the queued bytes
	n       int  // queued bytes
	filling bool // between reserve and commit
	reading bool // between peek and discard
	dead    bool // contents no longer wanted
}

// reserve returns the contiguous free space behind the queued bytes, nil if
// there is none. A commit must follow unless it is nil.
func (q *ring) reserve() []byte {
	if q.n == q.pool.size {
		return nil
	}
	if q.buf == nil {
		q.buf = q.pool.pool.Get().(*[]byte)
		q.start = 0
	}
	q.filling = true
	end := q.start + q.n
	if end >= q.pool.size {
		end -= q.pool.size
		return (*q.buf)[end:q.start]
	}
	return (*q.buf)[end:]
}

// wrapped returns the free space that a reserve has left out: what precedes the
// queued bytes in the buffer when the reserved space ends with the buffer.
func (q *ring) wrapped() []byte {
	if q.start+q.n < q.pool.size {
		return (*q.buf)[:q.start]
	}
	return nil
}

// commit queues the first n bytes of the reserved space.
func (q *ring) commit(n int) {
	q.n += n
	q.filling = false
	q.settle()
}

// peek returns the first contiguous queued bytes, at most max, nil if there are
// none. A discard must follow unless it is nil.
func (q *ring) peek(max int) []byte {
	n := min(q.n, q.pool.size-q.start, max)
	if n == 0 {
		return nil
	}
	q.reading = true
	return (*q.buf)[q.start : q.start+n]
}

// rest returns the queued bytes after the first skip, at most max, across the
// end of the buffer: the second half of a peek that was cut there.
func (q *ring) rest(skip, max int) []byte {
	if q.start+skip < q.pool.size {
		return nil
	}
	return (*q.buf)[:min(q.n-skip, max)]
}

// discard drops the first n queued bytes.
func (q *ring) discard(n int) {
	q.start += n
	if q.start >= q.pool.size {
		q.start -= q.pool.size
	}
	q.n -= n
	q.reading = false
	q.settle()
}

// kill drops what is queued, now or as soon as nobody works in the buffer.
func (q *ring) kill() {
	q.dead = true
	q.settle()
}

func (q *ring) settle() {
	if q.filling || q.reading || q.buf == nil {
		return
	}
	if q.dead {
		q.n = 0
	}
	if q.n == 0 {
		q.pool.pool.Put(q.buf)
		q.buf = nil
	}
}
