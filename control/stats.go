package control

import (
	"net/http"
	"time"
)

// Counters are what a device has done since it was plugged in. They go on counting
// when it is opened anew or reset, and start again with the next plug.
type Counters struct {
	Sessions int    `json:"sessions"` // open connections of clients
	BytesIn  uint64 `json:"bytes_in"` // payload from the phone
	BytesOut uint64 `json:"bytes_out"`

	Connects   uint64 `json:"connects"`            // that the phone has accepted, the daemon's own too
	Refused    uint64 `json:"connects_refused"`    // nothing listens on the port
	Unanswered uint64 `json:"connects_unanswered"` // the phone was silent

	ResetsByPhone uint64 `json:"resets_by_phone"` // of open connections
	ResetsByHost  uint64 `json:"resets_by_host"`  // for the phone's mistake, or with data that it did not take

	LastByte *time.Time `json:"last_byte"` // when anything came from the phone; null: nothing has

	ConnectLatency Latency `json:"connect_latency"` // from the request to the phone's yes

	Recoveries   uint64    `json:"recoveries"`    // how often it was opened anew or reset over USB, by the daemon or for an operator
	LastRecovery *Recovery `json:"last_recovery"` // null: none
}

// Latency is a histogram of times.
type Latency struct {
	LE     []float64 `json:"le"`     // upper bounds of the buckets, seconds; the same for all devices of a daemon
	Counts []uint64  `json:"counts"` // per bucket, not cumulative; one more, for what is beyond all bounds
	Sum    float64   `json:"sum"`    // seconds
}

// Recovery is one attempt to mend a device.
type Recovery struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"` // "reopen", "reset", or "leave"
	Cause  string    `json:"cause"`  // "no-version-answer", "operator", ...
	Reason string    `json:"reason"` // for a person
	Next   string    `json:"next"`   // what the daemon does if that does not help, for a person; may be empty
}

// Values of Recovery.Action.
const (
	ActionReopen = "reopen"
	ActionReset  = "reset"
	ActionLeave  = "leave" // it is left alone from now on, which counts as no recovery
)

// Stats are the counters of all devices at one moment: what changes all the time,
// for those who look again and again. The difference of two of them, by the
// difference of their times, is a rate.
type Stats struct {
	Time    time.Time     `json:"time"`
	Devices []DeviceStats `json:"devices"` // in the order of Devices
}

// DeviceStats are the counters of one device. A new plug has another PluggedIn, and
// counts from zero.
type DeviceStats struct {
	UDID      *string   `json:"udid"`
	Name      string    `json:"name"`
	PortPath  string    `json:"port_path"`
	PluggedIn time.Time `json:"plugged_in"`
	Trust     string    `json:"trust"`
	Counters
}

func (s *Server) getStats(_ http.ResponseWriter, r *http.Request) (any, error) {
	return statsOf(now(), s.devices(r)), nil
}

func statsOf(at time.Time, devices []Device) Stats {
	stats := Stats{Time: at, Devices: make([]DeviceStats, len(devices))}
	for i, d := range devices {
		stats.Devices[i] = DeviceStats{d.UDID, d.Name, d.PortPath, d.PluggedIn, d.Trust, d.Counters}
	}
	return stats
}
