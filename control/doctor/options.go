package doctor

import (
	"cmp"
	"time"

	"gomuxd/control"
	"gomuxd/socket/client"
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
	Control   string // default control.SocketPath(Socket)
	RecordDir string // default the daemon's, then /var/lib/lockdown

	Now     time.Time     // default time.Now()
	Timeout time.Duration // for each socket; default 3 s
}

const (
	defaultRecordDir = "/var/lib/lockdown"
	defaultTimeout   = 3 * time.Second
)

// validate fills in the defaults, but for RecordDir.
func (o *Options) validate() {
	o.SysRoot = cmp.Or(o.SysRoot, "/sys")
	o.DevRoot = cmp.Or(o.DevRoot, "/dev")
	o.ProcRoot = cmp.Or(o.ProcRoot, "/proc")
	o.RunRoot = cmp.Or(o.RunRoot, "/run")
	o.EtcRoot = cmp.Or(o.EtcRoot, "/etc")
	o.LibRoot = cmp.Or(o.LibRoot, "/usr/lib")
	o.Socket = client.Address(o.Socket)
	o.Control = cmp.Or(o.Control, control.SocketPath(o.Socket))
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
}
