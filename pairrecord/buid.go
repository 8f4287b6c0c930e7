package pairrecord

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"go.uber.org/zap"

	"gomuxd/plist"
)

const (
	configName = "SystemConfiguration" + suffix
	buidKey    = "SystemBUID"
)

// BUID returns the host's identity, the SystemBUID of SystemConfiguration.plist.
// Where there is none it makes one, keeps it, and leaves the file's other keys
// alone; if another process is faster, its BUID is the one returned. A file
// that cannot be read or parsed is an error that says so, and stays as it is.
func (s *Store) BUID() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dict, err := s.config()
	if errors.Is(err, fs.ErrNotExist) {
		err = s.createConfig(newBUID())
		if err == nil {
			s.log.Info("host identity made", zap.String("path", filepath.Join(s.path, configName)))
		} else if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("make %s: %w", configName, s.hint(err))
		}
		dict, err = s.config()
	}
	if err != nil {
		return "", s.configError(err)
	}
	v, ok := dict[buidKey]
	if !ok {
		buid := newBUID()
		dict[buidKey] = buid
		if err := s.replaceConfig(dict); err != nil {
			return "", fmt.Errorf("add the host identity to %s: %w", configName, s.hint(err))
		}
		return buid, nil
	}
	buid, ok := v.(string)
	if !ok || buid == "" {
		return "", s.configError(errors.New(buidKey + " is not a text"))
	}
	return buid, nil
}

// config reads SystemConfiguration.plist.
func (s *Store) config() (map[string]any, error) {
	data, err := s.disk.read(configName)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New("file is empty")
	}
	var root any
	if err := plist.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	dict, ok := root.(map[string]any)
	if !ok {
		return nil, errors.New("the root is no dictionary")
	}
	return dict, nil
}

func (s *Store) configError(err error) error {
	return fmt.Errorf("read the host identity from %s: %w; to repair: restore that file, "+
		"or remove it to get a new identity, which makes every phone ask for trust again",
		filepath.Join(s.path, configName), s.hint(err))
}

// createConfig makes SystemConfiguration.plist, or fails with fs.ErrExist.
func (s *Store) createConfig(buid string) error {
	data, err := plist.MarshalXML(map[string]any{buidKey: buid})
	if err != nil {
		return err
	}
	return s.write(data, func(tmp string) error {
		err := s.disk.link(tmp, configName)
		if cannotLink(err) {
			return s.disk.renameNew(tmp, configName)
		}
		if err == nil {
			s.discard(tmp)
		}
		return err
	})
}

// replaceConfig writes a SystemConfiguration.plist that gained a key.
func (s *Store) replaceConfig(dict map[string]any) error {
	data, err := plist.MarshalXML(dict)
	if err != nil {
		return err
	}
	return s.write(data, func(tmp string) error { return s.disk.rename(tmp, configName) })
}

// newBUID returns a random (version 4) UUID in upper case, the form that
// clients expect of a BUID.
func newBUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
