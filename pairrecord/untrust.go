package pairrecord

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"

	"gomuxd/plist"
)

// untrustDir holds the records that phones are still to be told to forget.
const untrustDir = ".untrusted"

// Untrust takes udid's record out of use, but keeps it where Untrusted finds it
// until the phone has forgotten it, too. The error wraps fs.ErrNotExist if there
// is no record.
func (s *Store) Untrust(udid string) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := udid + suffix
	err := s.disk.check(name)
	if err == nil {
		err = s.disk.mkdir(untrustDir)
	}
	if err == nil {
		err = s.disk.rename(name, untrustDir+"/"+name)
	}
	if err == nil {
		err = errors.Join(s.disk.sync(untrustDir), s.disk.sync("."))
	}
	if err != nil {
		return fmt.Errorf("take pair record %s out of use: %w", udid, s.hint(err))
	}
	s.log.Info("pair record taken out of use", zap.String("udid", udid))
	return nil
}

// Untrusted is the record that udid is still to forget. The error wraps
// fs.ErrNotExist if there is none.
func (s *Store) Untrusted(udid string) (Record, error) {
	if err := ValidID(udid); err != nil {
		return Record{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, err := s.disk.read(untrustDir + "/" + udid + suffix)
	if err != nil {
		return Record{}, fmt.Errorf("untrusted pair record %s: %w", udid, err)
	}
	var r Record
	if err := plist.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode untrusted pair record %s: %w", udid, err)
	}
	return r, nil
}

// Forgotten says that the phone has forgotten the record that Untrust took out of
// use; it becomes one of the copies. Without one it does nothing.
func (s *Store) Forgotten(udid string) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := udid + suffix
	err := s.disk.mkdir(copyDir)
	if err == nil {
		err = s.disk.rename(untrustDir+"/"+name, s.copyName(name, "untrusted"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("put untrusted pair record %s away: %w", udid, s.hint(err))
	}
	s.prune(udid)
	return nil
}
