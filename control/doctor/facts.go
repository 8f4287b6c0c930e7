package doctor

import (
	"time"

	"gomuxd/control"
)

// Facts is everything that Gather saw. Texts are as they were found, so they may
// hold anything.
type Facts struct {
	Now    time.Time `json:"now"`
	Device string    `json:"device,omitempty"` // the one asked for

	Controllers int         `json:"controllers"`  // USB buses of this computer
	USB         []USBDevice `json:"usb"`          // Apple's, by port
	OverCurrent []PortFault `json:"over_current"` // ports that have cut the power

	Udev      Udev      `json:"udev"`
	Processes []Process `json:"processes"` // that are called usbmuxd

	Socket  Socket          `json:"socket"`
	Control ControlSocket   `json:"control"`
	Daemon  *control.Daemon `json:"daemon"` // null if it could not be asked
	Groups  []int           `json:"groups"` // of the daemon's process

	Records RecordDir `json:"records"`

	Unseen []Unseen `json:"unseen"`
}

// Unseen is something that could not be looked at.
type Unseen struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Kind is what an Apple device on the bus is.
type Kind string

const (
	KindMux      Kind = "mux"           // has a usbmux interface
	KindNoMux    Kind = "no-mux"        // a phone that offers data, but no usbmux
	KindCharging Kind = "charging-only" // a phone that offers no data
	KindRecovery Kind = "recovery"
	KindDFU      Kind = "dfu"
	KindOther    Kind = "other" // a keyboard, a hub, a Mac
)

// USBDevice is one Apple device as sysfs shows it.
type USBDevice struct {
	Port    string `json:"port"` // "1-2.3"
	Bus     int    `json:"bus"`
	Address int    `json:"address"`
	Vendor  string `json:"vendor"`  // "05ac"
	Product string `json:"product"` // "12a8"
	Name    string `json:"name"`    // "iPhone"
	Serial  string `json:"serial"`
	Kind    Kind   `json:"kind"`
	Speed   uint64 `json:"speed"` // bits per second; 0 unknown
	Hub     string `json:"hub"`   // what the hub it hangs on calls itself, or its port; "" if none

	Configuration string `json:"configuration"` // bConfigurationValue: "" or "0" if unconfigured
	Authorized    string `json:"authorized"`    // "0" if refused
	PowerControl  string `json:"power_control"`
	RuntimeStatus string `json:"runtime_status"`

	Node Node `json:"node"`

	Driver       string   `json:"driver"`        // of the device: "usb"
	MuxInterface string   `json:"mux_interface"` // "1-2:4.1"; "" if the present configuration has none
	MuxDriver    string   `json:"mux_driver"`    // of that interface; "usbfs" for a program
	Holder       *Process `json:"holder"`        // who has the node open
	HoldersKnown bool     `json:"holders_known"` // every process could be looked at
}

// PortFault is a USB port that has drawn more current than it may.
type PortFault struct {
	Port  string `json:"port"` // "1-2.3"
	Times int    `json:"times"`
}

// Node is a file with its permissions.
type Node struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
	Error  string `json:"error,omitempty"`
	Mode   uint32 `json:"mode"` // permission bits
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Owner  string `json:"owner"` // "usbmux:plugdev"
	ACL    bool   `json:"acl"`   // an access list says more than the mode
}

// Process is a running program.
type Process struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
	Path    string `json:"path,omitempty"` // of the executable
}

// Udev is the device manager and the rule for our devices.
type Udev struct {
	Running bool     `json:"running"`
	Rules   []string `json:"rules"` // files of rules for usbmux
}

// Socket is the socket that clients connect to.
type Socket struct {
	Node
	NotSocket bool     `json:"not_socket"`
	TCP       bool     `json:"tcp"`     // Path is host:port
	Denied    bool     `json:"denied"`  // this user may not connect
	Accepts   bool     `json:"accepts"` // a connection can be made
	Answers   bool     `json:"answers"` // and the protocol is spoken
	Peer      *Process `json:"peer"`    // who listens
	Devices   []string `json:"devices"` // UDIDs that it lists
	BUID      string   `json:"buid"`
}

// ControlSocket is the socket of the control API.
type ControlSocket struct {
	Node
	NotSocket bool `json:"not_socket"`
	Denied    bool `json:"denied"` // this user may not connect
	Accepts   bool `json:"accepts"`
	Answers   bool `json:"answers"`
}

// RecordDir is the directory of pair records, from outside.
type RecordDir struct {
	Node
	NotDir    bool      `json:"not_dir"`
	ReadOnly  bool      `json:"read_only"` // the file system
	Free      uint64    `json:"free"`      // bytes
	FreeKnown bool      `json:"free_known"`
	Listed    bool      `json:"listed"`
	Files     []string  `json:"files"` // UDIDs there is a record of
	BUIDFile  bool      `json:"buid_file"`
	Wide      []string  `json:"wide"`   // records that others may read
	Newest    time.Time `json:"newest"` // when the newest of them was saved
}
