package control

import (
	"cmp"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Hub holds what is plugged in, by key, and tells subscribers of changes. A key
// is the port path. Its methods may be called from any goroutine and block on
// nobody. What the pointers in a returned Device point to must not be changed.
type Hub struct {
	cfg Config

	mu          sync.Mutex // guards everything below, and what Subscription says so of
	devices     map[string]Device
	subscribers map[*Subscription]struct{}
}

// NewHub returns a hub without devices. It uses Words, Counters and QueueEvents
// of cfg.
func NewHub(cfg Config) *Hub {
	cfg.validate()
	return &Hub{
		cfg:         cfg,
		devices:     make(map[string]Device),
		subscribers: make(map[*Subscription]struct{}),
	}
}

// Put shows a device, or what has become of it. A new key is published as
// added, a difference as changed; counters and the days left are no difference.
// Since, if zero, is when Trust became what it is; PluggedIn, if zero, when the key
// was put first.
func (h *Hub) Put(key string, d Device) {
	d = d.clone()
	if h.cfg.Words != nil {
		d.Reason, d.NextStep = h.cfg.Words(d)
	}
	h.count(key, &d)

	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.devices[key]
	switch {
	case !d.Since.IsZero():
	case known && old.Trust == d.Trust:
		d.Since = old.Since
	default:
		d.Since = now()
	}
	switch {
	case !d.PluggedIn.IsZero():
	case known:
		d.PluggedIn = old.PluggedIn
	default:
		d.PluggedIn = now()
	}
	h.devices[key] = d
	switch {
	case !known:
		h.publishLocked(DeviceAdded, d)
	case !same(old, d):
		h.publishLocked(DeviceChanged, d)
	}
}

// Remove takes a device away and publishes it as it was last put. An unknown key
// is ignored.
func (h *Hub) Remove(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d, known := h.devices[key]; known {
		delete(h.devices, key)
		h.publishLocked(DeviceRemoved, d)
	}
}

// Devices lists all devices by device id, those without one last, then by port
// path.
func (h *Hub) Devices() []Device {
	return devicesOf(h.entries())
}

// at is the device with a key.
func (h *Hub) at(key string) (d Device, known bool) {
	h.mu.Lock()
	d, known = h.devices[key]
	h.mu.Unlock()
	h.count(key, &d)
	return d, known
}

// Subscribe returns all devices, as Devices does, and a subscription to what
// changes from then on: the two have no gap and no overlap. The caller must
// Close the subscription.
func (h *Hub) Subscribe() ([]Device, *Subscription) {
	s := &Subscription{hub: h, events: make(chan *Event, h.cfg.QueueEvents)}
	h.mu.Lock()
	h.subscribers[s] = struct{}{}
	list := h.entriesLocked()
	h.mu.Unlock()
	h.refresh(list)
	return devicesOf(list), s
}

// entry is a device with its key.
type entry struct {
	key string
	Device
}

func (h *Hub) entries() []entry {
	h.mu.Lock()
	list := h.entriesLocked()
	h.mu.Unlock()
	h.refresh(list)
	return list
}

func (h *Hub) entriesLocked() []entry {
	list := make([]entry, 0, len(h.devices))
	for key, d := range h.devices {
		list = append(list, entry{key, d})
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(compareIDs(a.DeviceID, b.DeviceID), cmp.Compare(a.PortPath, b.PortPath), cmp.Compare(a.key, b.key))
	})
	return list
}

func compareIDs(a, b *uint32) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*a, *b)
}

func (h *Hub) refresh(list []entry) {
	for i := range list {
		h.count(list[i].key, &list[i].Device)
	}
}

func (h *Hub) count(key string, d *Device) {
	if h.cfg.Counters != nil {
		d.Counters = h.cfg.Counters(key)
	}
}

func devicesOf(list []entry) []Device {
	devices := make([]Device, len(list))
	for i, e := range list {
		devices[i] = e.Device
	}
	return devices
}

// same reports whether nothing differs that is worth an event.
func same(a, b Device) bool {
	if !a.Since.Equal(b.Since) || !a.PluggedIn.Equal(b.PluggedIn) {
		return false
	}
	a.Since, a.PluggedIn = b.Since, b.PluggedIn
	a.Counters, a.ExpiresInDays = b.Counters, b.ExpiresInDays
	return reflect.DeepEqual(a, b)
}

// clone returns a copy that shares no memory with d.
func (d Device) clone() Device {
	d.DeviceID = copied(d.DeviceID)
	d.UDID = copied(d.UDID)
	d.Capacity = copied(d.Capacity)
	d.ExpiresInDays = copied(d.ExpiresInDays)
	return d
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// now is the wall clock's time alone, since it leaves the process.
func now() time.Time { return time.Now().UTC().Round(0) }
