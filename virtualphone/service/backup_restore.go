package service

import (
	"errors"
	"fmt"
	"path"

	"gomuxd/plist"
)

// restore takes back the backup in the folder dir of the host. A host that leaves out
// an option gets the backup copied first and the phone restarted.
func (s *backupSession) restore(dir string, options map[string]any) error {
	if err := s.allow(true); err != nil {
		return err
	}
	old, err := s.read(dir)
	if err != nil {
		return err
	}
	if keep, _ := options["RestoreDontCopyBackup"].(bool); !keep {
		if err := s.order(dlCopyItem, dir, dir+"-copy"); err != nil {
			return err
		}
	}
	var total, done uint64
	for _, f := range old.files {
		total += f.size
	}
	for batch := range batches(old.files) {
		size, err := s.fetch(dir, batch, float64(done)/float64(max(1, total))*100)
		if err != nil {
			return err
		}
		done += size
	}
	reboot, given := options["RestoreShouldReboot"].(bool)
	s.reboot = reboot || !given
	s.b.count(func(n *BackupStats) { n.Restores++ })
	return nil
}

// savedBackup is what a folder on the host says of itself.
type savedBackup struct {
	status, props map[string]any
	files         []backupFile
}

// read gets the description of the complete backup in dir.
func (s *backupSession) read(dir string) (savedBackup, error) {
	var b savedBackup
	for _, item := range []struct {
		name  string
		parse func([]byte) error
	}{
		{statusName, func(data []byte) error { return plist.Unmarshal(data, &b.status) }},
		{propsName, func(data []byte) error { return plist.Unmarshal(data, &b.props) }},
		{manifestName, func(data []byte) (err error) {
			b.files, err = parseManifest(data)
			return err
		}},
	} {
		data, err := s.readBytes(path.Join(dir, item.name))
		if err != nil {
			return b, err
		}
		if err := item.parse(data); err != nil {
			return b, failure(backupUnreadable, "Error reading backup: %s: %v", item.name, err)
		}
	}
	if state := b.status["SnapshotState"]; state != stateFinished {
		return b, failure(backupUnreadable, "Error reading backup: its state is %q", state)
	}
	if b.props["IsEncrypted"] != false {
		return b, failure(backupUnreadable, "Error reading backup: it is encrypted")
	}
	return b, nil
}

// readBytes gets one small file.
func (s *backupSession) readBytes(name string) ([]byte, error) {
	to := oneFile{name: name}
	if err := s.download([]string{name}, 0, &to); err != nil {
		return nil, err
	}
	switch {
	case !to.seen || to.failed != "":
		return nil, failure(backupNotFound, "No such file or directory at path %q: %s", name, to.failed)
	case to.large:
		return nil, failure(backupUnreadable, "%q is larger than %d bytes", name, maxManifest)
	}
	return to.content, nil
}

// fetch gets a batch and compares it with what was saved; it returns its bytes.
func (s *backupSession) fetch(dir string, batch []backupFile, progress float64) (size uint64, err error) {
	to := comparison{dir: dir, left: batch}
	names := make([]string, len(batch))
	for i := range batch {
		names[i] = path.Join(dir, batch[i].place())
		size += batch[i].size
	}
	if err := s.download(names, progress, &to); err != nil {
		return 0, err
	}
	if to.err == nil && len(to.left) > 0 {
		to.err = failure(backupNotFound, "No such file or directory at path %q", path.Join(dir, to.left[0].place()))
	}
	if to.err != nil {
		return 0, to.err
	}
	s.b.count(func(n *BackupStats) {
		n.RestoredFiles += uint64(len(batch))
		n.RestoredBytes += size
	})
	return size, nil
}

// download has the host send files to to. That the host misses some is for to to know.
func (s *backupSession) download(names []string, progress float64, to receiver) error {
	if err := s.link.send(dlDownloadFiles, names, map[string]any{}, progress, uint64(0)); err != nil {
		return err
	}
	if err := s.link.readFiles(to); err != nil {
		return err
	}
	_, err := s.link.status()
	return err
}

// oneFile keeps the one file it expects, up to maxManifest bytes.
type oneFile struct {
	name    string
	content []byte
	failed  string
	seen    bool
	large   bool
}

func (o *oneFile) begin(name string) error {
	if o.seen || name != o.name {
		return fmt.Errorf("%w: file %q that nobody asked for", ErrProtocol, name)
	}
	o.seen = true
	return nil
}

func (o *oneFile) data(b []byte) error {
	if len(o.content)+len(b) > maxManifest {
		o.large = true
		return nil
	}
	o.content = append(o.content, b...)
	return nil
}

func (o *oneFile) end(failed string) error {
	o.failed = failed
	return nil
}

// comparison expects the files of a batch, in order, and keeps the first thing that is
// wrong with them. What follows is read and dropped, so that the host can be told.
type comparison struct {
	dir  string
	left []backupFile // the first is the current one
	seed uint64       // of the current file
	got  uint64       // bytes of it
	err  error
}

func (c *comparison) begin(name string) error {
	if len(c.left) == 0 || name != path.Join(c.dir, c.left[0].place()) {
		return fmt.Errorf("%w: file %q that nobody asked for now", ErrProtocol, name)
	}
	c.seed, c.got = c.left[0].seed(), 0
	return nil
}

func (c *comparison) data(b []byte) error {
	if c.err == nil {
		if err := Verify(c.seed, c.got, b); err != nil {
			c.fail(err.Error())
		}
	}
	c.got += uint64(len(b))
	return nil
}

func (c *comparison) end(failed string) error {
	f := &c.left[0]
	switch {
	case c.err != nil:
	case failed != "":
		c.err = failure(backupNotFound, "No such file or directory at path %q: %s", path.Join(c.dir, f.place()), failed)
	case c.got != f.size:
		c.fail(fmt.Sprintf("%d bytes, want %d", c.got, f.size))
	}
	c.left = c.left[1:]
	return nil
}

func (c *comparison) fail(what string) {
	f := &c.left[0]
	c.err = failure(backupUnreadable, "Error restoring %s/%s from %s: %s", f.domain, f.path, f.id(), what)
}

// asFailure reports whether err is one that the host is told.
func asFailure(err error) bool {
	var f *backupError
	return errors.As(err, &f)
}
