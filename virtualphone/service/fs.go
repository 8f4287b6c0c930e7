package service

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fsCapacity is how many bytes of content an FS holds, and the largest size of a
	// file even if most of it is a hole.
	fsCapacity = 1 << 30

	// fsNodes is how many files, directories and symbolic links an FS holds.
	fsNodes = 1 << 16

	// defaultModel is the product type of a phone that nobody gave another.
	defaultModel = "iPhone14,5"

	// fsBlock is the block size in bytes that the phone reports.
	fsBlock = 4096
)

// FS is the in-memory file system of the phone's media partition. It is safe for
// concurrent use. Content and the number of names are bounded.
type FS struct {
	// Model is the product type that AFC's device information names. Whoever makes
	// the FS may change it before it is served.
	Model string

	space space

	mu    sync.RWMutex // guards the tree: all of every node but content and mtime
	root  *node
	nodes int
}

// kind tells what a node is; its values are the words of st_ifmt.
type kind string

const (
	kindDir  kind = "S_IFDIR"
	kindFile kind = "S_IFREG"
	kindLink kind = "S_IFLNK"
)

// node is a file, a directory or a symbolic link. Its fields are guarded by FS.mu
// unless they say otherwise.
type node struct {
	kind     kind             // never changes
	birth    int64            // ns since 1970; never changes
	mtime    atomic.Int64     // ns since 1970
	children map[string]*node // of a directory
	target   string           // of a symbolic link; never changes
	links    int              // names of a file
	opens    int              // handles on a file
	shared   int              // handles that hold a shared lock
	excl     bool             // a handle holds an exclusive lock
	content  content          // of a file; has its own lock, taken after FS.mu
}

// space counts the content of one file system.
type space struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes and reports whether they were there.
func (s *space) take(n int64) bool {
	if s.used.Add(n) > s.limit {
		s.used.Add(-n)
		return false
	}
	return true
}

// give returns n bytes.
func (s *space) give(n int64) { s.used.Add(-n) }

// free returns how many bytes are left.
func (s *space) free() int64 { return max(0, s.limit-s.used.Load()) }

// emptyFS returns a file system of limit bytes that has only its root.
func emptyFS(limit int64) *FS {
	f := &FS{Model: defaultModel, space: space{limit: limit}}
	f.root = f.newNodeLocked(kindDir)
	return f
}

// newNodeLocked returns a node that is not yet in the tree, or nil if the file system
// is full of them.
func (f *FS) newNodeLocked(k kind) *node {
	if f.nodes == fsNodes {
		return nil
	}
	f.nodes++
	n := &node{kind: k, birth: time.Now().UnixNano()}
	n.mtime.Store(n.birth)
	if k == kindDir {
		n.children = make(map[string]*node)
	}
	return n
}

// dropLocked takes back a node that has no more names; a file with handles lives on
// until the last of them is closed.
func (f *FS) dropLocked(n *node) {
	if n.links > 0 || n.opens > 0 {
		return
	}
	f.nodes--
	if n.kind == kindFile {
		n.content.release(&f.space)
	}
}

// touch marks n as changed now.
func (n *node) touch() { n.mtime.Store(time.Now().UnixNano()) }
