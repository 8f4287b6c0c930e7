package control

import "time"

// Device is one Apple device in a port of this computer, as the control API and
// muxctl --json show it. Unknown texts are empty, unknown numbers null.
type Device struct {
	DeviceID      *uint32   `json:"device_id"` // of the usbmuxd socket; null below the multiplexer
	UDID          *string   `json:"udid"`      // null below the multiplexer
	Name          string    `json:"name"`      // "Anna's iPhone"
	Product       string    `json:"product"`   // "iPhone14,5"
	Model         string    `json:"model"`     // "iPhone 13"
	Version       string    `json:"version"`   // "17.5"
	Class         string    `json:"class"`     // "iPhone"
	Capacity      *uint64   `json:"capacity"`  // bytes
	Connection    string    `json:"connection"`
	Speed         uint64    `json:"speed"` // bits per second, 0 unknown
	PortPath      string    `json:"port_path"`
	Trust         string    `json:"trust"` // a state of package lockdown/trust
	Cause         string    `json:"cause,omitempty"`
	Since         time.Time `json:"since"` // of the state
	Reason        string    `json:"reason"`
	NextStep      string    `json:"next_step"`
	ExpiresInDays *int      `json:"expires_in_days"` // estimate
	PluggedIn     time.Time `json:"plugged_in"`
	Counters
}

// ConnectionUSB is the value of Device.Connection for a phone on a cable.
const ConnectionUSB = "USB"

// EventType says what an Event is about.
type EventType string

const (
	DeviceAdded   EventType = "added"
	DeviceChanged EventType = "changed" // its trust or its facts, not its counters
	DeviceRemoved EventType = "removed"

	// Ready follows the devices that were there when the stream began, each told
	// as added. Its Device and Time are zero.
	Ready EventType = "ready"
)

// Event is one change. In the stream of /v1/events each is one SSE message: its
// type as event, this as JSON in data.
type Event struct {
	Type   EventType `json:"type"`
	Device Device    `json:"device"` // after the change; as it was, of a removed one
	Time   time.Time `json:"time"`
}

// Record is a pair record without its secrets.
type Record struct {
	UDID          string     `json:"udid"`
	HostID        string     `json:"host_id"`
	SystemBUID    string     `json:"system_buid"`
	BUIDMatches   bool       `json:"buid_matches"` // with this computer's
	HasEscrowBag  bool       `json:"has_escrow_bag"`
	WiFiAddress   string     `json:"wifi_address,omitempty"`
	Saved         time.Time  `json:"saved"`
	LastUsed      *time.Time `json:"last_used"`       // null: not since this is kept
	ExpiresInDays *int       `json:"expires_in_days"` // estimate
	Problem       string     `json:"problem,omitempty"`
	SetAside      bool       `json:"set_aside,omitempty"` // there are earlier versions only; of all else the UDID alone counts
	Copies        []Copy     `json:"copies"`              // earlier versions, newest first
}

// Copy is an earlier version of a pair record, which can be restored.
type Copy struct {
	ID           string    `json:"id"`
	Replaced     time.Time `json:"replaced"`
	Reason       string    `json:"reason"` // "replaced", "deleted", "invalid-host-id", ...
	HasEscrowBag bool      `json:"has_escrow_bag"`
}

// Daemon is what the daemon knows of itself, for the doctor.
type Daemon struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	UID       int       `json:"uid"`
	Started   time.Time `json:"started"`
	Sockets   []string  `json:"sockets"`      // listening addresses
	Preflight string    `json:"trust_policy"` // auto, ask or never

	RecordDir      string `json:"record_dir"`
	RecordDirMode  string `json:"record_dir_mode"`  // "drwxr-xr-x"
	RecordDirOwner string `json:"record_dir_owner"` // "root:root"
	RecordDirFree  uint64 `json:"record_dir_free"`  // bytes
	RecordDirError string `json:"record_dir_error,omitempty"`
	BUID           string `json:"buid,omitempty"`
	BUIDError      string `json:"buid_error,omitempty"`

	Devices []Device `json:"devices"`
	Records []Record `json:"records"`
}

// TrustRequest is the body of POST /v1/devices/{device}/trust.
type TrustRequest struct {
	// Touch only renews the time of last use, by a session; it asks nothing.
	Touch bool `json:"touch,omitempty"`
}

// ModeRequest is the body of POST /v1/devices/{device}/mode.
type ModeRequest struct {
	Mode *int `json:"mode"` // 1 to 5; 0 keeps what there is
}

// UntrustResult is what became of the two halves of a pairing.
type UntrustResult struct {
	UDID    string `json:"udid"`
	Phone   bool   `json:"phone"`             // the phone has forgotten this computer
	Pending bool   `json:"pending,omitempty"` // it will be told when it is here and unlocked
	Record  bool   `json:"record"`            // a record was here and is set aside
	Error   string `json:"error,omitempty"`   // of untrust-all: why not with this phone
}

// RestoreRequest is the body of POST /v1/records/{udid}/restore.
type RestoreRequest struct {
	Copy string `json:"copy"` // an ID of Record.Copies
}

// CaptureRequest is the body of POST /v1/devices/{device}/capture.
type CaptureRequest struct {
	Ports []uint16 `json:"ports,omitempty"` // of the phone; all if there are none

	// Secrets shows also what is said to lockdownd: pair records, with private keys,
	// go by there. It is for root alone.
	Secrets bool `json:"secrets,omitempty"`
}

// Error is the body of every answer with a status of 400 or more.
type Error struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`    // forbidden, not-found, ambiguous, ...
	Message string `json:"message"` // what is wrong and what to do
}

func (e *Error) Error() string { return e.Message }

// Codes of Error.
const (
	CodeForbidden  = "forbidden"
	CodeNotFound   = "not-found"
	CodeAmbiguous  = "ambiguous"
	CodeBadRequest = "bad-request"
	CodeNoMux      = "no-mux"    // the device is below the multiplexer
	CodeAbsent     = "absent"    // the phone must be plugged in
	CodeNoRecord   = "no-record" // there is no such pair record or copy
	CodeFailed     = "failed"    // the phone or the disk refused
	CodeUnknown    = "unknown"   // no such path or method
	CodeBusy       = "busy"      // too many connections or streams
	CodeSlow       = "slow"      // the stream ends: its reader lags too far behind
)
