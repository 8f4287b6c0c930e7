package service

import (
	"bufio"
	"net"
	"regexp"
	"strings"
	"testing"
)

// line reads one line of a relay, without its end.
func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString(0)
	if err != nil || !strings.HasSuffix(s, "\n\x00") {
		t.Fatalf("want a line, got %q, %v", s, err)
	}
	return s[:len(s)-2]
}

func TestSyslogRelay(t *testing.T) {
	s := NewSyslog()
	s.Logf("kernel", "boot %d", 1)
	s.Logf("SpringBoard", "two\nlines\x00")
	host := start(t, s.Relay())
	r := bufio.NewReader(host)
	form := regexp.MustCompile(`^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d iPhone [A-Za-z_]+\[\d{3}\] <Notice>: `)
	for _, want := range []string{"boot 1", "two lines "} {
		got := line(t, r)
		if text := form.ReplaceAllString(got, ""); text != want || text == got {
			t.Errorf("want %q after the prefix, got %q", want, got)
		}
	}
	for _, text := range []string{"later", "last"} {
		s.Logf("lockdownd", "%s", text)
		if got := line(t, r); !strings.HasSuffix(got, ": "+text) {
			t.Errorf("want %q, got %q", text, got)
		}
	}
}

// TestSyslogSlowHost logs more than the ring holds while a host does not read.
func TestSyslogSlowHost(t *testing.T) {
	s := NewSyslog()
	host := start(t, s.Relay())
	s.Logf("kernel", "first")
	r := bufio.NewReaderSize(host, 16)
	r.Peek(1) // the relay has the first line in hand
	for range 3 * syslogLines {
		s.Logf("kernel", "flood")
	}
	line(t, r)
	if got, want := line(t, r), "1024 lines dropped"; !strings.HasSuffix(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
	for range syslogLines {
		if got := line(t, r); !strings.HasSuffix(got, "flood") {
			t.Fatalf("want flood, got %q", got)
		}
	}
}

func TestSyslogLongLine(t *testing.T) {
	s := NewSyslog()
	s.Logf("kernel", "%s", strings.Repeat("ü", syslogLine))
	r := bufio.NewReader(net.Conn(start(t, s.Relay())))
	if got := line(t, r); len(got) > syslogLine || len(got) < syslogLine-1 || !strings.HasSuffix(got, "ü") {
		t.Errorf("want %d bytes of whole letters, got %d", syslogLine, len(got))
	}
}
