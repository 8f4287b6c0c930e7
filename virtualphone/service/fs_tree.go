package service

import (
	"maps"
	"slices"
)

// list returns the names in a directory in order, "." and ".." first.
func (f *FS) list(path string) ([]string, status) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, st := f.findLocked(path, true)
	if st != statusOK {
		return nil, st
	}
	if n.kind != kindDir {
		return nil, statusInvalidArg
	}
	return append([]string{".", ".."}, slices.Sorted(maps.Keys(n.children))...), statusOK
}

// info describes one object.
type info struct {
	kind         kind
	size         uint64 // bytes
	links        int
	mtime, birth int64 // ns since 1970
	target       string
}

// stat describes the object at path; a symbolic link is not followed.
func (f *FS) stat(path string) (info, status) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, st := f.findLocked(path, false)
	if st != statusOK {
		return info{}, st
	}
	i := info{kind: n.kind, links: n.links, mtime: n.mtime.Load(), birth: n.birth, target: n.target}
	switch n.kind {
	case kindFile:
		i.size = n.content.len()
	case kindLink:
		i.size = uint64(len(n.target))
	case kindDir:
		i.links = 2
		for _, child := range n.children {
			if child.kind == kindDir {
				i.links++
			}
		}
		i.size = 32 * uint64(2+len(n.children))
	}
	return i, statusOK
}

// mkdir makes a directory and those missing above it. One that is there already is
// fine.
func (f *FS) mkdir(path string) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(path) > maxPath {
		return statusInvalidArg
	}
	names := components(path)
	slices.Reverse(names)
	prefix := ""
	for _, name := range names {
		prefix += "/" + name
		p, st := f.walkLocked(prefix, true)
		switch {
		case st != statusOK:
			return st
		case p.node == nil:
			n := f.newNodeLocked(kindDir)
			if n == nil {
				return statusNoResources
			}
			p.attach(n)
		case p.node.kind != kindDir:
			return statusExists
		}
	}
	return statusOK
}

// attach gives n the place's name; the place must be free.
func (p place) attach(n *node) {
	n.links++
	p.dir().children[p.name] = n
	p.dir().touch()
}

// detachLocked takes the place's name from its node.
func (f *FS) detachLocked(p place) {
	p.node.links--
	delete(p.dir().children, p.name)
	p.dir().touch()
	f.dropLocked(p.node)
}

// remove takes away a name, and all below it if it is a directory and all is set.
func (f *FS) remove(path string, all bool) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, st := f.walkLocked(path, false)
	switch {
	case st != statusOK:
		return st
	case p.node == nil:
		return statusNotFound
	case p.name == "":
		return statusPermDenied
	case len(p.node.children) > 0 && !all:
		return statusDirNotEmpty
	}
	f.pruneLocked(p.node)
	f.detachLocked(p)
	return statusOK
}

// pruneLocked empties a directory and all below it. It keeps its own stack, for the
// host decides how deep the tree is.
func (f *FS) pruneLocked(n *node) {
	for todo := []*node{n}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, child := range dir.children {
			if child.kind == kindDir {
				todo = append(todo, child)
			}
			child.links--
			f.dropLocked(child)
		}
		clear(dir.children)
	}
}

// rename moves an object to another name. A file replaces a file or a link, a
// directory an empty directory.
func (f *FS) rename(from, to string) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	src, st := f.walkLocked(from, false)
	if st == statusOK && src.node == nil {
		st = statusNotFound
	}
	if st != statusOK {
		return st
	}
	dst, st := f.walkLocked(to, false)
	switch {
	case st != statusOK:
		return st
	case src.name == "" || dst.name == "":
		return statusPermDenied
	case dst.node == src.node:
		return statusOK
	case slices.Contains(dst.dirs, src.node):
		return statusInvalidArg // a directory into itself
	}
	if old := dst.node; old != nil {
		switch {
		case old.kind == kindDir && src.node.kind != kindDir:
			return statusIsDir
		case old.kind != kindDir && src.node.kind == kindDir:
			return statusExists
		case len(old.children) > 0:
			return statusDirNotEmpty
		}
		f.detachLocked(dst)
	}
	delete(src.dir().children, src.name)
	src.dir().touch()
	dst.dir().children[dst.name] = src.node
	dst.dir().touch()
	return statusOK
}

// symlink makes a symbolic link at path. Its target need not exist.
func (f *FS) symlink(target, path string) status {
	if target == "" || len(target) > maxPath {
		return statusInvalidArg
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, st := f.freePlaceLocked(path)
	if st != statusOK {
		return st
	}
	n := f.newNodeLocked(kindLink)
	if n == nil {
		return statusNoResources
	}
	n.target = target
	p.attach(n)
	return statusOK
}

// link gives the file at target the further name path.
func (f *FS) link(target, path string) status {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, st := f.findLocked(target, true)
	if st != statusOK {
		return st
	}
	if n.kind != kindFile {
		return statusPermDenied
	}
	p, st := f.freePlaceLocked(path)
	if st != statusOK {
		return st
	}
	p.attach(n)
	return statusOK
}

// freePlaceLocked is walkLocked for what must not exist.
func (f *FS) freePlaceLocked(path string) (place, status) {
	p, st := f.walkLocked(path, false)
	if st == statusOK && p.node != nil {
		st = statusExists
	}
	return p, st
}

// setTime sets when the object at path was changed, in ns since 1970.
func (f *FS) setTime(path string, ns int64) status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, st := f.findLocked(path, true)
	if st == statusOK {
		n.mtime.Store(ns)
	}
	return st
}

// truncate sets the size in bytes of the file at path.
func (f *FS) truncate(path string, size uint64) status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, st := f.findLocked(path, true)
	if st != statusOK {
		return st
	}
	if n.kind != kindFile {
		return statusIsDir
	}
	n.touch()
	return n.content.setSize(&f.space, size)
}
