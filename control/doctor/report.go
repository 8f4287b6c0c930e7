package doctor

// Result is what a check came to.
type Result string

const (
	OK      Result = "ok"
	Note    Result = "note"    // works, but is worth knowing
	Problem Result = "problem" // nothing goes on before this is solved
	Unknown Result = "unknown" // could not be looked at
)

// Evidence is how sure a check is of what it says.
type Evidence string

const (
	Seen       Evidence = "seen"        // looked at, or told by the daemon
	Inferred   Evidence = "inferred"    // follows from what was seen
	CannotTell Evidence = "cannot-tell" // a computer cannot know, or we may not look
)

// IDs of checks, in their order. Programs may rely on them.
const (
	CheckCable       = "cable"         // is an Apple device on the bus?
	CheckAuthorized  = "authorized"    // does this computer let the device in?
	CheckCharging    = "charging_only" // does it offer data?
	CheckPort        = "port"          // port, speed, hub
	CheckRecovery    = "recovery"      // recovery, DFU or restore mode
	CheckMux         = "usbmux"        // does its USB mode have usbmux?
	CheckNode        = "device_node"   // may the daemon open it?
	CheckUdev        = "udev_rule"
	CheckOtherDaemon = "other_daemon" // another daemon on the socket, or a second one
	CheckHolder      = "interface"    // another program on the usbmux interface
	CheckDriver      = "kernel_driver"
	CheckSuspend     = "autosuspend"
	CheckSocket      = "socket"
	CheckControl     = "control_socket"
	CheckRecordDir   = "record_dir"
	CheckKeys        = "record_keys" // may others read private keys?
	CheckBUID        = "buid"
	CheckRecord      = "record" // record against phone
	CheckClock       = "clock"
	CheckTrust       = "trust" // does the phone answer, and is pairing wanted?
	CheckLock        = "lock"
	CheckDialog      = "dialog"
	CheckDenial      = "denial"
	CheckSupervision = "supervision"
	CheckAccessory   = "accessory"
	CheckExpiry      = "expiry"
)

// Check is one thing that was looked at, for one device or for the computer.
type Check struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Device   string   `json:"device,omitempty"` // which phone; "" for the computer, or if there is one only
	Result   Result   `json:"result"`
	Evidence Evidence `json:"evidence"`
	Found    string   `json:"found"`
	Means    string   `json:"means,omitempty"`
	Do       string   `json:"do,omitempty"`
}

// Report is the doctor's answer.
type Report struct {
	Checks   []Check  `json:"checks"`
	Result   Result   `json:"result"`             // of the whole: ok, problem or unknown
	Deciding string   `json:"deciding,omitempty"` // the ID of the check that the verdict rests on
	Verdict  string   `json:"verdict"`
	Remedies []Remedy `json:"remedies"` // from the first one that makes sense on, cheapest first
}
