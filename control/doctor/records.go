package doctor

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRecords is how many files of the record directory are looked at.
const maxRecords = 4096

// records looks at the directory of pair records, never into one.
func (g *gatherer) records(context.Context) {
	dir := g.o.RecordDir
	if d := g.f.Daemon; d != nil {
		dir = cmp.Or(dir, d.RecordDir)
	}
	dir = cmp.Or(dir, defaultRecordDir)
	r := &g.f.Records
	r.Node = g.node(dir)
	if !r.Exists {
		return
	}
	if r.NotDir = fileType(dir) != fs.ModeDir; r.NotDir {
		return
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		r.Free, r.FreeKnown = st.Bavail*uint64(st.Bsize), true
		r.ReadOnly = st.Flags&unix.ST_RDONLY != 0
	} else {
		g.unseen("free space of "+dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		g.unseen(unseenRecords, err)
		return
	}
	r.Listed = true
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".plist")
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if id == "SystemConfiguration" {
			r.BUIDFile = true
			continue
		}
		info, err := e.Info()
		if err != nil || len(r.Files) == maxRecords {
			continue
		}
		r.Files = append(r.Files, id)
		if info.Mode().Perm()&0o077 != 0 {
			r.Wide = append(r.Wide, id)
		}
		if info.ModTime().After(r.Newest) {
			r.Newest = info.ModTime()
		}
	}
}
