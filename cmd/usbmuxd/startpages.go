package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// dropStartPages takes the read-only pages of the program's and the libraries' files
// out of the process: most of them were needed to start. The kernel keeps them among
// its cached files, from where those that are used again come back without I/O. It
// saves some 4 MB for as long as the daemon runs.
func dropStartPages(log *zap.Logger) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		log.Debug("memory of the start is kept", zap.Error(err))
		return
	}
	defer f.Close()
	for _, m := range cleanFiles(f) {
		// Go and libc map none of these at an address that they use again.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			log.Debug("memory of the start is kept", zap.String("errno", unix.ErrnoName(errno)))
		}
	}
}

// mapping is a part of the address space.
type mapping struct{ start, end uintptr }

// cleanFiles finds the private mappings of files that can not be written to, and of
// which no page is the process's own, as relocation and break points make them: what
// is taken out of such a mapping comes back from the file as it was. Source:
// proc_pid_smaps(5).
func cleanFiles(smaps io.Reader) []mapping {
	var (
		found []mapping
		last  mapping
		file  bool // last is a mapping of a file that can not be written to
	)
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Bytes()
		if len(line) == 0 {
			continue
		}
		if line[0] >= 'A' && line[0] <= 'Z' { // a key and its value
			if rest, is := bytes.CutPrefix(line, []byte("Anonymous:")); is && file && string(bytes.TrimSpace(rest)) == "0 kB" {
				found = append(found, last)
			}
			continue
		}
		// 55d0a8e00000-55d0a8f00000 r-xp 00000000 fd:00 1234   /usr/sbin/usbmuxd
		file = false
		fields := bytes.Fields(line)
		if len(fields) < 5 || len(fields[1]) != 4 {
			continue
		}
		low, high, _ := bytes.Cut(fields[0], []byte("-"))
		start, err1 := strconv.ParseUint(string(low), 16, 64)
		end, err2 := strconv.ParseUint(string(high), 16, 64)
		perms := fields[1]
		if err1 != nil || err2 != nil || start >= end {
			continue
		}
		last = mapping{uintptr(start), uintptr(end)}
		file = perms[0] == 'r' && perms[1] == '-' && perms[3] == 'p' && string(fields[4]) != "0"
	}
	return found
}
