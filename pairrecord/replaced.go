package pairrecord

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gomuxd/plist"
)

// MaxCopies and MaxAllCopies are the numbers of earlier versions kept for one
// phone and for all phones.
const (
	MaxCopies    = 8
	MaxAllCopies = 512
)

const (
	copyDir = ".replaced"
	// copyTime is the time in a copy's name: fixed width, so that names of one
	// phone sort by age.
	copyTime = "20060102T150405.000000000Z"
	// maxReason is the length, in bytes, of a reason in a copy's name.
	maxReason = 40
)

// Delete takes udid's record away; its bytes stay in .replaced. The error wraps
// ErrInvalidID, or fs.ErrNotExist if there is no record.
func (s *Store) Delete(udid string) error { return s.SetAside(udid, "deleted") }

// SetAside is Delete for a record that the phone no longer accepts. The reason
// becomes part of the kept copy's name: its letters and digits in lower case,
// all else as hyphens, at most 40 bytes.
func (s *Store) SetAside(udid, reason string) error {
	if err := ValidID(udid); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setAside(udid, reason); err != nil {
		return fmt.Errorf("set pair record %s aside: %w", udid, s.hint(err))
	}
	s.log.Info("pair record set aside", zap.String("udid", udid), zap.String("reason", slug(reason)))
	return nil
}

func (s *Store) setAside(udid, reason string) error {
	name := udid + suffix
	if err := s.disk.check(name); err != nil {
		return err
	}
	if err := s.disk.mkdir(copyDir); err != nil {
		return err
	}
	if err := s.disk.rename(name, s.copyName(name, reason)); err != nil {
		return err
	}
	err := s.disk.sync(copyDir)
	if err == nil {
		err = s.disk.sync(".")
	}
	s.prune(udid)
	return err
}

// keep gives the file name a second one in .replaced and returns that.
func (s *Store) keep(name, reason string) (string, error) {
	if err := s.disk.mkdir(copyDir); err != nil {
		return "", err
	}
	kept := s.copyName(name, reason)
	err := s.disk.link(name, kept)
	if cannotLink(err) {
		err = s.copyFile(name, kept)
	}
	if err == nil {
		err = s.disk.sync(copyDir)
	}
	if err != nil {
		s.discard(kept)
		return "", err
	}
	return kept, nil
}

// cannotLink reports whether err means that this file system, or this kernel's
// rule about other users' files, has no hard links for us.
func cannotLink(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMLINK)
}

func (s *Store) copyFile(from, to string) error {
	data, err := s.disk.read(from)
	if err != nil {
		return err
	}
	f, err := s.disk.create(to)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// copyName returns the path of a new copy of the file name. Names given by one
// Store differ and sort by age even if the clock stands still or steps back.
func (s *Store) copyName(name, reason string) string {
	now := time.Now().UTC().Round(0)
	if !now.After(s.last) {
		now = s.last.Add(time.Nanosecond)
	}
	s.last = now
	return copyDir + "/" + name + "." + now.Format(copyTime) + "." + slug(reason)
}

// slug makes reason fit for a file name.
func slug(reason string) string {
	b := []byte(strings.ToLower(reason))
	b = b[:min(len(b), maxReason)]
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b[i] = '-'
		}
	}
	return string(b)
}

// kept is one file in .replaced.
type kept struct {
	name string // within .replaced
	udid string
	when string // as in copyTime
}

// parseCopy is the reverse of copyName; ok is false for foreign files.
func parseCopy(name string) (c kept, ok bool) {
	udid, rest, ok := strings.Cut(name, suffix+".")
	if !ok || ValidID(udid) != nil || len(rest) < len(copyTime)+1 {
		return kept{}, false
	}
	when := rest[:len(copyTime)]
	if _, err := time.Parse(copyTime, when); err != nil {
		return kept{}, false
	}
	return kept{name, udid, when}, true
}

// prune removes the oldest copies above the bounds. Of udid's copies it spares
// the newest complete one as long as the record itself is not complete.
func (s *Store) prune(udid string) {
	names, err := s.disk.names(copyDir)
	if err != nil {
		s.log.Debug("earlier pair records not listed", zap.Error(err))
		return
	}
	var all, own []kept
	for _, name := range names {
		if c, ok := parseCopy(name); ok {
			all = append(all, c)
			if c.udid == udid {
				own = append(own, c)
			}
		}
	}
	byAge := func(a, b kept) int { return cmp.Or(strings.Compare(a.when, b.when), strings.Compare(a.name, b.name)) }
	if n := len(own) - MaxCopies; n > 0 {
		slices.SortFunc(own, byAge)
		spare := s.spare(udid, own)
		for _, c := range own {
			if n > 0 && c.name != spare {
				s.discard(copyDir + "/" + c.name)
				all = slices.DeleteFunc(all, func(k kept) bool { return k == c })
				n--
			}
		}
	}
	if n := len(all) - MaxAllCopies; n > 0 {
		slices.SortFunc(all, byAge)
		for _, c := range all[:n] {
			s.discard(copyDir + "/" + c.name)
		}
	}
}

// spare returns the copy, of own sorted by age, that must not go: the newest
// complete one, if the record in use is not complete.
func (s *Store) spare(udid string, own []kept) string {
	if s.isComplete(udid + suffix) {
		return ""
	}
	for _, c := range slices.Backward(own) {
		if s.isComplete(copyDir + "/" + c.name) {
			return c.name
		}
	}
	return ""
}

func (s *Store) isComplete(name string) bool {
	data, err := s.disk.read(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Debug("pair record not read", zap.String("path", name), zap.Error(err))
		}
		return false
	}
	var r Record
	return plist.Unmarshal(data, &r) == nil && r.complete()
}
