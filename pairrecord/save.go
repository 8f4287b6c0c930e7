package pairrecord

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gomuxd/plist"
)

// minData is the size, in bytes, below which the C daemon refuses record data.
const minData = 8

// Save stores data, an XML or binary property list whose root is a dictionary
// with a HostID, as udid's record, in XML. Keys it does not know stay. The
// record it replaces is kept in .replaced. The error wraps ErrInvalidID or
// ErrInvalidData, or the system's error; the old record then stays, unless
// only the directory's final sync failed.
func (s *Store) Save(udid string, data []byte) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	dict, xml, err := normalize(data)
	if err != nil {
		return fmt.Errorf("save pair record %s: %w", udid, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(udid, dict, xml); err != nil {
		return fmt.Errorf("save pair record %s: %w", udid, s.hint(err))
	}
	return nil
}

// normalize returns the record in data, decoded and in the form that is stored.
func normalize(data []byte) (dict map[string]any, xml []byte, err error) {
	if len(data) < minData {
		return nil, nil, fmt.Errorf("%w: %d bytes, the least is %d", ErrInvalidData, len(data), minData)
	}
	var root any
	if err := plist.Unmarshal(data, &root); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidData, err)
	}
	dict, ok := root.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the root is no dictionary", ErrInvalidData)
	}
	if id, ok := dict["HostID"].(string); !ok || id == "" {
		return nil, nil, fmt.Errorf("%w: no HostID", ErrInvalidData)
	}
	xml, err = plist.MarshalXML(dict)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidData, err)
	}
	if len(xml) > MaxSize {
		return nil, nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrInvalidData, len(xml), MaxSize)
	}
	// XML cannot carry all that a binary list can (control characters, parts of
	// a second). Such a record would come back changed.
	var again any
	if err := plist.Unmarshal(xml, &again); err != nil {
		return nil, nil, fmt.Errorf("%w: as XML: %w", ErrInvalidData, err)
	}
	if !reflect.DeepEqual(root, again) {
		return nil, nil, fmt.Errorf("%w: has a value that XML cannot carry", ErrInvalidData)
	}
	return dict, xml, nil
}

// save writes xml, the encoded dict, as udid's record. The lock is held.
func (s *Store) save(udid string, dict map[string]any, xml []byte) error {
	name := udid + suffix
	had := true
	switch err := s.disk.check(name); {
	case errors.Is(err, fs.ErrNotExist):
		had = false
		if ids, err := s.list(); err != nil {
			return err
		} else if len(ids) >= MaxRecords {
			return fmt.Errorf("%w: %d", ErrFull, len(ids))
		}
	case err != nil:
		return err
	default:
		if old, err := s.disk.read(name); err == nil && same(old, dict) {
			return nil
		}
	}

	return s.write(xml, func(tmp string) error {
		if !had {
			return s.disk.rename(tmp, name)
		}
		kept, err := s.keep(name, "replaced")
		if err != nil {
			return fmt.Errorf("keep the old record: %w", err)
		}
		if err := s.disk.rename(tmp, name); err != nil {
			s.discard(kept)
			return err
		}
		s.prune(udid)
		return nil
	})
}

// same reports whether the stored record old is XML that holds dict, in
// whatever order: the C daemon keeps that in which keys were set.
func same(old []byte, dict map[string]any) bool {
	if !bytes.HasPrefix(old, []byte("<?xml")) {
		return false
	}
	var v map[string]any
	return plist.Unmarshal(old, &v) == nil && reflect.DeepEqual(v, dict)
}

// write puts data into a new temporary file, calls place to give it its name,
// and makes that last. If it fails before place, nothing is left behind.
func (s *Store) write(data []byte, place func(tmp string) error) error {
	tmp := tempName()
	f, err := s.disk.create(tmp)
	if err != nil {
		return err
	}
	defer f.Close() // not before place, see disk.sweep
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = place(tmp)
	}
	if err != nil {
		s.discard(tmp)
		return err
	}
	return s.disk.sync(".")
}

// discard removes a file that is of no use any more. If that fails the next
// Open or prune does it.
func (s *Store) discard(name string) {
	if err := s.disk.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Debug("file not removed", zap.String("path", name), zap.Error(err))
	}
}

// hint adds what to do about errors that an operator can repair.
func (s *Store) hint(err error) error {
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return explain(s.path, err)
	}
	return err
}

const (
	tempPrefix = ".gomuxd-"
	tempSuffix = ".tmp"
)

func tempName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return tempPrefix + hex.EncodeToString(b[:]) + tempSuffix
}

// isTemp reports whether name is of tempName's making.
func isTemp(name string) bool {
	return len(name) == len(tempPrefix)+16+len(tempSuffix) &&
		strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}
