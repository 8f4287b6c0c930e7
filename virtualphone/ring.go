package virtualphone

import "sync"

// ringSize is the capacity of a ring in bytes: one advertised window, so what a
// host may send always fits.
const ringSize = windowBytes

var ringMemory = sync.Pool{New: func() any { return new([ringSize]byte) }}

// ring is a byte queue of fixed size. It takes its memory with the first byte
// and gives it back in free, so an idle connection holds none.
type ring struct {
	mem  *[ringSize]byte
	head int // index of the oldest byte
	n    int // bytes held
}

// write appends as much of b as fits and returns how much that was.
func (r *ring) write(b []byte) int {
	if len(b) == 0 || r.n == ringSize {
		return 0
	}
	if r.mem == nil {
		r.mem = ringMemory.Get().(*[ringSize]byte)
		r.head = 0
	}
	b = b[:min(len(b), ringSize-r.n)]
	at := (r.head + r.n) % ringSize
	k := copy(r.mem[at:], b)
	copy(r.mem[:], b[k:])
	r.n += len(b)
	return len(b)
}

// read moves the oldest bytes into b and returns how many.
func (r *ring) read(b []byte) int {
	b = b[:min(len(b), r.n)]
	if len(b) == 0 {
		return 0
	}
	k := copy(b, r.mem[r.head:])
	copy(b[k:], r.mem[:])
	r.head = (r.head + len(b)) % ringSize
	r.n -= len(b)
	return len(b)
}

// free drops what is held and returns the memory.
func (r *ring) free() {
	if r.mem != nil {
		ringMemory.Put(r.mem)
	}
	*r = ring{}
}
