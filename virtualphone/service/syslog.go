package service

import (
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// syslogLines is how many lines the phone keeps: what a host sees of the past,
	// and how far it may fall behind before it loses lines.
	syslogLines = 512

	// syslogLine is the longest line in bytes; longer ones are cut.
	syslogLine = 1024

	// syslogHost is the device name in every line. idevicesyslog finds the process
	// name behind the first blank after the time stamp, so it has no blank.
	syslogHost = "iPhone"
)

// Syslog is the phone's system log: a ring of its last lines. It is safe for
// concurrent use, and a line is never held up by those who read.
type Syslog struct {
	mu   sync.Mutex // guards all below
	ring [syslogLines]string
	next uint64        // number of the next line, counted from the first ever
	wake chan struct{} // closed when a line arrives; nil while nobody waits
}

// NewSyslog returns an empty log.
func NewSyslog() *Syslog { return new(Syslog) }

// Logf adds a line of level Notice, said by process, as of now. Line breaks and NULs
// in it become blanks.
func (s *Syslog) Logf(process, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	pid := 100 + crc32.ChecksumIEEE([]byte(process))%900 // the same for every line of a process
	line := fmt.Sprintf("%s %s %s[%d] <Notice>: %s", time.Now().Format(time.Stamp), syslogHost, process, pid, text)
	line = strings.Map(func(r rune) rune {
		if r == 0 || r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, cut(line, syslogLine))

	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.next%syslogLines] = line
	s.next++
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// since appends the lines from number cursor on to buf, each as the relay sends it,
// until buf holds max bytes or there are no more. It returns the number to go on
// with, and, if nothing was there to append, a channel that is closed when a line
// arrives. A cursor that the ring has overtaken skips what is lost and says so.
func (s *Syslog) since(cursor uint64, buf []byte, max int) (_ []byte, _ uint64, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cursor == s.next {
		if s.wake == nil {
			s.wake = make(chan struct{})
		}
		return buf, cursor, s.wake
	}
	if oldest := s.next - min(s.next, syslogLines); cursor < oldest {
		if cursor > 0 { // a reader that has just come has lost nothing
			buf = fmt.Appendf(buf, "%s %s syslog_relay[99] <Notice>: %d lines dropped\n\x00",
				time.Now().Format(time.Stamp), syslogHost, oldest-cursor)
		}
		cursor = oldest
	}
	for ; cursor < s.next && len(buf) < max; cursor++ {
		buf = append(buf, s.ring[cursor%syslogLines]...)
		buf = append(buf, '\n', 0)
	}
	return buf, cursor, nil
}

// cut returns s without what is beyond n bytes, and whole runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
