package service

import (
	"fmt"
	"strings"
)

// maxListing is the most bytes of a listing: it must fit one property list.
const maxListing = MaxPlist / 2

// info describes the backup in the folder dir.
func (s *backupSession) info(dir string) (map[string]any, error) {
	old, err := s.read(dir)
	if err != nil {
		return nil, err
	}
	var size uint64
	for _, f := range old.files {
		size += f.size
	}
	lockdown, _ := old.props["Lockdown"].(map[string]any)
	var text strings.Builder
	fmt.Fprintf(&text, "Device Name: %v\nProduct Type: %v\nProduct Version: %v\n", lockdown["DeviceName"], lockdown["ProductType"], lockdown["ProductVersion"])
	fmt.Fprintf(&text, "Date: %v\nEncrypted: %v\nFiles: %d\nBytes: %d\n", old.props["Date"], old.props["IsEncrypted"], len(old.files), size)
	return map[string]any{"Content": text.String()}, nil
}

// list lists the files of the backup in the folder dir as comma-separated values.
func (s *backupSession) list(dir string) (map[string]any, error) {
	old, err := s.read(dir)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for i := range old.files {
		f := &old.files[i]
		line := fmt.Sprintf("%s,%s,%q,%d\n", f.id(), f.domain, f.path, f.size)
		if text.Len()+len(line) > maxListing {
			break
		}
		text.WriteString(line)
	}
	return map[string]any{"Content": text.String()}, nil
}
