package pairrecord

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gomuxd/plist"
)

// MaxSize is the size, in bytes, of the largest file that is read or record
// that is stored. A record is about 8 KiB.
const MaxSize = 1 << 20

// MaxRecords is the number of records beyond which Save takes no new phone, so
// that a client cannot fill the disk with made-up ids.
const MaxRecords = 4096

const suffix = ".plist"

// Config is what a Store needs beside its directory. The zero value is usable.
type Config struct {
	Log *zap.Logger // nil logs nothing
}

// Store is the pair records in one directory. Its methods may be called by any
// number of goroutines.
type Store struct {
	path string // the directory, for messages
	disk disk
	log  *zap.Logger

	mu   sync.RWMutex // held for reading by readers, for writing by whoever changes files
	last time.Time    // newest name given in .replaced; guarded by mu
}

// Open opens the record directory dir, making it and its parents (0755) if it
// is missing; an existing one keeps its mode. It removes what a crashed save
// left behind and takes other users' access from records that are ours. It
// fails, naming owner, mode and remedy, if dir cannot be read and written. The
// caller must Close the Store.
func Open(dir string, cfg Config) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make pair record directory %s: %w; make it by hand (install -d -m 0755 %s) or name another directory", dir, err, dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, explain(dir, err)
	}
	if err := access(root); err != nil {
		root.Close()
		return nil, explain(dir, err)
	}
	s := newStore(dir, rootDisk{root}, cfg.Log)
	if err := s.tidy(); err != nil {
		root.Close()
		return nil, explain(dir, err)
	}
	return s, nil
}

func newStore(path string, d disk, log *zap.Logger) *Store {
	if log == nil {
		log = zap.NewNop()
	}
	return &Store{path: path, disk: d, log: log}
}

// access asks the kernel whether this process may read, write and search root.
func access(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Faccessat(int(f.Fd()), ".", unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// explain says what dir is and how to make it usable.
func explain(dir string, err error) error {
	var st unix.Stat_t
	if serr := unix.Stat(dir, &st); serr != nil {
		return fmt.Errorf("pair record directory %s: %w", dir, err)
	}
	who := os.Geteuid()
	remedy := fmt.Sprintf("chown -R %d %s, or run as its owner", who, dir)
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		remedy = "move it away or name another directory"
	case errors.Is(err, unix.EROFS):
		remedy = "mount it writable or name another directory"
	case int(st.Uid) == who:
		remedy = "chmod u+rwx " + dir
	}
	return fmt.Errorf("pair record directory %s (owner %d:%d, mode %04o) is not usable by user %d: %w; to repair: %s",
		dir, st.Uid, st.Gid, st.Mode&0o7777, who, err, remedy)
}

// tidy removes temporary files that no save holds any more and narrows records.
// Only a directory that cannot be listed is an error.
func (s *Store) tidy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.disk.names(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case isTemp(name):
			if err := s.disk.sweep(name); err != nil {
				s.log.Warn("stale temporary file not removed", zap.String("path", name), zap.Error(err))
			}
		case recordID(name) != "":
			if changed, err := s.disk.tighten(name); err != nil {
				s.log.Warn("pair record may be readable by others", zap.String("path", name), zap.Error(err))
			} else if changed {
				s.log.Info("pair record was readable by others, now by its owner only", zap.String("path", name))
			}
		}
	}
	return nil
}

// Usable reports why the directory cannot be read and written, with what to do,
// or nil.
func (s *Store) Usable() error {
	d, ok := s.disk.(rootDisk)
	if !ok {
		return nil
	}
	if err := access(d.root); err != nil {
		return explain(s.path, err)
	}
	return nil
}

// recordID returns the UDID whose record has the file name name, or "".
func recordID(name string) string {
	id, ok := strings.CutSuffix(name, suffix)
	if !ok || ValidID(id) != nil {
		return ""
	}
	return id
}

// Close releases the directory. Later calls fail with fs.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disk.close()
}

// Read returns the record's bytes as stored; the caller owns them. The error
// wraps ErrInvalidID, or fs.ErrNotExist if there is no record or an empty file.
func (s *Store) Read(udid string) ([]byte, error) {
	if err := ValidID(udid); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, err := s.disk.read(udid + suffix)
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("file is empty: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read pair record %s: %w", udid, err)
	}
	return data, nil
}

// Record reads and decodes a record. The error is that of Read, or wraps
// plist.ErrMalformed.
func (s *Store) Record(udid string) (Record, error) {
	data, err := s.Read(udid)
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := plist.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode pair record %s: %w", udid, err)
	}
	return r, nil
}

// List returns the UDIDs that have a record, sorted.
func (s *Store) List() ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list()
}

// list is List for a caller that holds the lock.
func (s *Store) list() ([]string, error) {
	names, err := s.disk.names(".")
	if err != nil {
		return nil, fmt.Errorf("list pair records: %w", err)
	}
	ids := make([]string, 0, len(names))
	for _, name := range names {
		if id := recordID(name); id != "" && s.disk.check(name) == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
