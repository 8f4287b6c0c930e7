package service

import (
	"slices"
	"strings"
)

const (
	// maxPath is the longest path and the longest link target in bytes.
	maxPath = 1024

	// maxComponent is the longest name in bytes.
	maxComponent = 255

	// maxHops is how many symbolic links one path may lead through.
	maxHops = 16
)

// place is where a path leads.
type place struct {
	dirs []*node // the directories passed, from the root on; the last holds name
	name string  // "" if the path ends at the root or in ".."
	node *node   // nil if nothing has that name
}

// dir returns the directory that holds the place's name.
func (p place) dir() *node { return p.dirs[len(p.dirs)-1] }

// walkLocked follows path from the root. Symbolic links on the way are followed, one
// at its end only if follow is set. No path leads above the root: ".." at the root is
// the root, and an absolute link target starts there. A place without a node is an
// answer too; the status is statusNotFound if a directory on the way is missing.
func (f *FS) walkLocked(path string, follow bool) (place, status) {
	if len(path) > maxPath {
		return place{}, statusInvalidArg
	}
	dirs := []*node{f.root}
	rest := components(path) // in reverse, the next is the last
	for hops := 0; len(rest) > 0; {
		name := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		last := len(rest) == 0
		if name == ".." {
			dirs = dirs[:max(1, len(dirs)-1)]
			continue
		}
		if len(name) > maxComponent {
			return place{}, statusInvalidArg
		}
		n := dirs[len(dirs)-1].children[name]
		switch {
		case n != nil && n.kind == kindLink && (!last || follow):
			if hops++; hops > maxHops {
				return place{}, statusInvalidArg
			}
			if strings.HasPrefix(n.target, "/") {
				dirs = dirs[:1]
			}
			rest = append(rest, components(n.target)...)
		case last:
			return place{dirs: dirs, name: name, node: n}, statusOK
		case n == nil || n.kind != kindDir:
			return place{}, statusNotFound
		default:
			dirs = append(dirs, n)
		}
	}
	return place{dirs: dirs, node: dirs[len(dirs)-1]}, statusOK
}

// components splits path at its slashes, drops what means nothing, and returns the
// names in reverse.
func components(path string) []string {
	names := strings.Split(path, "/")
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" || s == "." })
	slices.Reverse(names)
	return names
}

// findLocked is walkLocked for what must exist.
func (f *FS) findLocked(path string, follow bool) (*node, status) {
	p, st := f.walkLocked(path, follow)
	if st == statusOK && p.node == nil {
		st = statusNotFound
	}
	return p.node, st
}
