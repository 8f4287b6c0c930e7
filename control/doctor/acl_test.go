package doctor

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestACL asserts that an access list is seen, as setfacl -m u:140:rw makes it.
func TestACL(t *testing.T) {
	w := newWorld(t)
	w.file("/dev/node", "")
	path := filepath.Join(w.root, "/dev/node")
	g := &gatherer{o: w.o}
	if g.node(path).ACL {
		t.Error("a file without an access list has one")
	}
	list := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, ^uint32(0)}, {0x02, 6, 140}, {0x04, 4, ^uint32(0)}, {0x10, 6, ^uint32(0)}, {0x20, 4, ^uint32(0)}} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.perm)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	if err := unix.Setxattr(path, "system.posix_acl_access", list, 0); err != nil {
		t.Skipf("no access lists on this file system: %v", err)
	}
	if !g.node(path).ACL {
		t.Error("the access list is not seen")
	}
}
