package pairrecord

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Copy is an earlier version of a record, kept in .replaced.
type Copy struct {
	ID       string    // names it for Restore
	Replaced time.Time // when it went out of use
	Reason   string    // "replaced", "deleted", "invalidhostid", ... as SetAside has it
	Complete bool      // has private key and escrow bag
}

// Copies lists the earlier versions of udid's record, newest first.
func (s *Store) Copies(udid string) ([]Copy, error) {
	if err := ValidID(udid); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names, err := s.disk.names(copyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list earlier pair records: %w", err)
	}
	var all []Copy
	for _, name := range names {
		c, ok := parseCopy(name)
		if !ok || c.udid != udid {
			continue
		}
		at, _ := time.Parse(copyTime, c.when) // parseCopy has
		all = append(all, Copy{
			ID:       strings.TrimPrefix(name, udid+suffix+"."),
			Replaced: at,
			Reason:   name[len(udid+suffix+".")+len(c.when)+1:],
			Complete: s.isComplete(copyDir + "/" + name),
		})
	}
	slices.SortFunc(all, func(a, b Copy) int {
		return cmp.Or(b.Replaced.Compare(a.Replaced), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Kept returns the UDIDs whose record has earlier versions, sorted.
func (s *Store) Kept() ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names, err := s.disk.names(copyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list earlier pair records: %w", err)
	}
	var ids []string
	for _, name := range names {
		if c, ok := parseCopy(name); ok {
			ids = append(ids, c.udid)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Restore makes the earlier version that id names udid's record; the one in use,
// if any, becomes an earlier version itself. The error wraps fs.ErrNotExist if
// there is no such version, ErrInvalidData if it is no record any more.
func (s *Store) Restore(udid, id string) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	name := udid + suffix + "." + id
	if c, ok := parseCopy(name); !ok || c.udid != udid || strings.ContainsAny(id, "/\x00") {
		return fmt.Errorf("earlier version %q of pair record %s: %w", id, udid, fs.ErrNotExist)
	}
	s.mu.RLock()
	data, err := s.disk.read(copyDir + "/" + name)
	s.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("earlier version %q of pair record %s: %w", id, udid, err)
	}
	return s.Save(udid, data)
}
