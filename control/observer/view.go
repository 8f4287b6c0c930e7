package observer

import (
	"cmp"
	"slices"
	"time"

	"gomuxd/control"
)

// View is all that has changed since a version. What is nil is as it was.
type View struct {
	Version uint64             `json:"version"`
	Time    time.Time          `json:"time"`
	Daemon  *Daemon            `json:"daemon,omitempty"`
	Keys    []string           `json:"keys"` // of the phones that are there, if one came or went
	Phones  []Phone            `json:"phones,omitempty"`
	Traffic map[string]Traffic `json:"traffic,omitempty"` // by key
	Log     []Entry            `json:"log,omitempty"`
	Total   *Bin               `json:"total,omitempty"`
	History *History           `json:"history,omitempty"` // in the first one alone
}

// Phone is a device and who has to do something about it. Its counters are in
// Traffic alone.
type Phone struct {
	Key      string   `json:"key"`
	Title    string   `json:"title"`
	Standing Standing `json:"standing"`
	control.Device
}

// Traffic is a phone's counters, and its rates in bytes per second.
type Traffic struct {
	control.Counters
	InRate  float64 `json:"in_rate"`
	OutRate float64 `json:"out_rate"`
	Bin     Bin     `json:"bin"`
}

// Bin is what a Series has counted in its newest bin.
type Bin struct {
	N   int64  `json:"n"`
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// History is the last hour.
type History struct {
	Step   int               `json:"step"` // seconds
	Bins   int               `json:"bins"`
	Total  Points            `json:"total"`
	Phones map[string]Points `json:"phones"` // by key; those that moved nothing are left out
}

// Since returns what has changed since a version, which is 0 for all.
func (o *Observer) Since(version uint64) View {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	v := View{Version: o.version, Time: now}
	if o.told > version {
		d := o.daemon
		v.Daemon = &d
	}
	if o.members > version || version == 0 {
		v.Keys = o.keysLocked()
	}
	for _, k := range o.keysLocked() {
		p := o.phones[k]
		if p.facts > version {
			v.Phones = append(v.Phones, p.phone(k))
		}
		if p.counters > version {
			if v.Traffic == nil {
				v.Traffic = make(map[string]Traffic)
			}
			v.Traffic[k] = p.traffic()
		}
	}
	if v.Traffic != nil {
		n, in, out := o.total.newest()
		v.Total = &Bin{n, in, out}
	}
	v.Log = o.log.since(o.seqLocked(version))
	if version == 0 {
		v.History = o.historyLocked(now)
	}
	return v
}

// Devices returns how it stands with the daemon, and what is plugged in with its
// counters as they were last seen.
func (o *Observer) Devices() (Daemon, []control.Device) {
	o.mu.Lock()
	defer o.mu.Unlock()
	devices := make([]control.Device, 0, len(o.phones))
	for _, k := range o.keysLocked() {
		devices = append(devices, o.phones[k].device)
	}
	return o.daemon, devices
}

// seqLocked is the last entry of the log in a version.
func (o *Observer) seqLocked(version uint64) uint64 {
	i := len(o.marks) - 1
	for i >= 0 && o.marks[i].version > version {
		i--
	}
	if i < 0 {
		return 0
	}
	return o.marks[i].seq
}

// keysLocked are sorted by device id, those without one last, then by port.
func (o *Observer) keysLocked() []string {
	keys := make([]string, 0, len(o.phones))
	for k := range o.phones {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, y := o.phones[a].device.DeviceID, o.phones[b].device.DeviceID
		switch {
		case x == nil && y != nil:
			return 1
		case y == nil && x != nil:
			return -1
		case x != nil:
			return cmp.Or(cmp.Compare(*x, *y), cmp.Compare(a, b))
		}
		return cmp.Compare(a, b)
	})
	return keys
}

func (p *phone) phone(key string) Phone {
	d := p.device
	d.Counters = control.Counters{}
	return Phone{Key: key, Title: TitleOf(d), Standing: StandingOf(d.Trust), Device: d}
}

func (p *phone) traffic() Traffic {
	n, in, out := p.series.newest()
	return Traffic{Counters: p.device.Counters, InRate: p.inRate, OutRate: p.outRate, Bin: Bin{n, in, out}}
}

func (o *Observer) historyLocked(now time.Time) *History {
	h := &History{Step: int(Step / time.Second), Bins: Bins, Total: o.total.Points(now), Phones: make(map[string]Points)}
	for k, p := range o.phones {
		if points := p.series.Points(now); len(points.In) > 0 {
			h.Phones[k] = points
		}
	}
	return h
}
