package service

import (
	"fmt"
	"math"
)

// openMode is how a file is opened.
//
// Source: the afc_file_mode_t values of the afc.h API page of libimobiledevice.
type openMode uint64

const (
	openRead       openMode = 1 // r:  must exist
	openReadWrite  openMode = 2 // r+: made if missing
	openWrite      openMode = 3 // w:  made or emptied
	openWriteRead  openMode = 4 // w+: made or emptied
	openAppend     openMode = 5 // a:  made if missing, writes at the end
	openReadAppend openMode = 6 // a+: made if missing, writes at the end
)

// Lock operations of a handle; each includes "do not wait".
const (
	lockShared    = 1 | 4
	lockExclusive = 2 | 4
	lockNone      = 8 | 4
)

// handle is an open file. It belongs to one goroutine.
type handle struct {
	fs   *FS
	node *node
	mode openMode
	pos  uint64 // at most math.MaxInt64
	lock uint64 // lockShared, lockExclusive or lockNone
}

// open opens the file at path, following symbolic links. The caller must close it.
func (f *FS) open(path string, mode openMode) (*handle, status) {
	if mode < openRead || mode > openReadAppend {
		return nil, statusInvalidArg
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, st := f.walkLocked(path, true)
	if st != statusOK {
		return nil, st
	}
	n := p.node
	switch {
	case n == nil && mode == openRead:
		return nil, statusNotFound
	case n == nil:
		if n = f.newNodeLocked(kindFile); n == nil {
			return nil, statusNoResources
		}
		p.attach(n)
	case n.kind != kindFile:
		return nil, statusIsDir
	case mode == openWrite || mode == openWriteRead:
		n.content.release(&f.space)
		n.touch()
	}
	n.opens++
	return &handle{fs: f, node: n, mode: mode, lock: lockNone}, statusOK
}

// close ends h and its lock.
func (h *handle) close() {
	h.setLock(lockNone)
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.node.opens--
	h.fs.dropLocked(h.node)
}

func (h *handle) readable() bool { return h.mode != openWrite && h.mode != openAppend }
func (h *handle) writable() bool { return h.mode != openRead }

// left returns how many bytes there are from the position on.
func (h *handle) left() uint64 {
	size := h.node.content.len()
	return size - min(size, h.pos)
}

// read fills b from the position on and moves on by what it returns: less than
// len(b) only at the end of the file.
func (h *handle) read(b []byte) int {
	n := h.node.content.readAt(b, h.pos)
	h.pos += uint64(n)
	return n
}

// write stores b at the position, or at the end in an appending mode, and moves
// behind what it stored.
func (h *handle) write(b []byte) status {
	atEnd := h.mode == openAppend || h.mode == openReadAppend
	var st status
	h.pos, st = h.node.content.writeAt(&h.fs.space, b, h.pos, atEnd)
	h.node.touch()
	return st
}

// seek moves the position: off bytes from the start (whence 0), the position (1) or
// the end (2). It may lie beyond the end.
func (h *handle) seek(whence uint64, off int64) status {
	var base uint64
	switch whence {
	case 0:
	case 1:
		base = h.pos
	case 2:
		base = h.node.content.len()
	default:
		return statusInvalidArg
	}
	pos := int64(base) + off
	if pos < 0 || (off > 0 && off > math.MaxInt64-int64(base)) {
		return statusInvalidArg
	}
	h.pos = uint64(pos)
	return statusOK
}

// setSize sets the size of the file in bytes.
func (h *handle) setSize(n uint64) status {
	if !h.writable() {
		return statusPermDenied
	}
	h.node.touch()
	return h.node.content.setSize(&h.fs.space, n)
}

// setLock changes what h holds of the file's lock. It does not wait: what another
// handle holds is statusWouldBlock, and h keeps what it had.
func (h *handle) setLock(op uint64) status {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	n := h.node
	shared := n.shared // by others
	if h.lock == lockShared {
		shared--
	}
	excl := n.excl && h.lock != lockExclusive // by another
	switch op {
	case lockShared:
		if excl {
			return statusWouldBlock
		}
		n.shared, n.excl = shared+1, false
	case lockExclusive:
		if excl || shared > 0 {
			return statusWouldBlock
		}
		n.shared, n.excl = 0, true
	case lockNone:
		n.shared, n.excl = shared, excl
	default:
		return statusInvalidArg
	}
	h.lock = op
	return statusOK
}

// WriteFile makes the file at path, or replaces what it holds, for whoever sets up
// the phone.
func (f *FS) WriteFile(path string, data []byte) error {
	h, st := f.open(path, openWrite)
	if st != statusOK {
		return fmt.Errorf("write %s: %w", path, st)
	}
	defer h.close()
	if st := h.write(data); st != statusOK {
		return fmt.Errorf("write %s: %w", path, st)
	}
	return nil
}

// ReadFile returns what the file at path holds now.
func (f *FS) ReadFile(path string) ([]byte, error) {
	h, st := f.open(path, openRead)
	if st != statusOK {
		return nil, fmt.Errorf("read %s: %w", path, st)
	}
	defer h.close()
	data := make([]byte, h.left())
	return data[:h.read(data)], nil
}

// Mkdir makes the directory at path and those missing above it.
func (f *FS) Mkdir(path string) error {
	if st := f.mkdir(path); st != statusOK {
		return fmt.Errorf("mkdir %s: %w", path, st)
	}
	return nil
}
