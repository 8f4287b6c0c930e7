package pairrecord

import (
	"fmt"
	"strings"
	"time"
)

// usedDir holds one file a phone: the time its record was last used, RFC 3339.
const usedDir = ".used"

// Touch notes that udid's record has just been used: the phone has opened a
// session with it.
func (s *Store) Touch(udid string) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.disk.mkdir(usedDir)
	if err == nil {
		err = s.write([]byte(time.Now().UTC().Format(time.RFC3339)+"\n"), func(tmp string) error {
			return s.disk.rename(tmp, usedDir+"/"+udid)
		})
	}
	if err != nil {
		return fmt.Errorf("note the use of pair record %s: %w", udid, s.hint(err))
	}
	return nil
}

// Used is when udid's record was last used. The error wraps fs.ErrNotExist if
// that was not since it is noted.
func (s *Store) Used(udid string) (time.Time, error) {
	if err := ValidID(udid); err != nil {
		return time.Time{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, err := s.disk.read(usedDir + "/" + udid)
	if err != nil {
		return time.Time{}, fmt.Errorf("last use of pair record %s: %w", udid, err)
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(data)))
	if err != nil {
		return time.Time{}, fmt.Errorf("last use of pair record %s: %w", udid, err)
	}
	return at, nil
}
