package doctor

import (
	"context"
	"io"
	"time"
)

// Options says where Gather looks. The zero value is this computer.
type Options struct {
	// Device limits the report to one device: its UDID or the beginning of it,
	// with or without hyphen, its name or the beginning of it, or its port path.
	Device string

	SysRoot  string // "/sys"
	DevRoot  string // "/dev"
	ProcRoot string // "/proc"
	RunRoot  string // "/run"
	EtcRoot  string // "/etc"
	LibRoot  string // "/usr/lib"

	Socket    string // a path or host:port; default $USBMUXD_SOCKET_ADDRESS, then /var/run/usbmuxd
	Control   string // default control.SocketPath()
	RecordDir string // default the daemon's, then /var/lib/lockdown

	Now     time.Time     // default time.Now()
	Timeout time.Duration // for each socket; default 3 s
}

// Gather looks at everything, for as long as ctx lasts. It never fails: what it
// could not look at is in Unseen.
func Gather(ctx context.Context, o Options) Facts { return Facts{} }

// Judge makes a report of facts. It looks at nothing else.
func Judge(f Facts) Report { return Report{} }

// Style is how Render writes.
type Style struct {
	Width int  // columns; 80 if 0, at least 40
	Color bool // ANSI colours
}

// Render writes a report for a person.
func Render(w io.Writer, r Report, s Style) error { return nil }

// WriteReport writes facts and report for a bug report. UDIDs, serial numbers,
// network addresses, host ids, names of phones and persons and home directories
// are replaced by tokens, the same thing always by the same token.
func WriteReport(w io.Writer, f Facts, r Report) error { return nil }
