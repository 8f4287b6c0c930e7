package socket

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"gomuxd/plist"
)

// Errors of Registry.Attach besides ErrIncomplete.
var (
	ErrAttached = errors.New("device is already attached")
	ErrNoIDs    = errors.New("all device ids have been used")
)

// detachWait bounds how long a departure is kept back until the device's
// clients have seen the end of their connections.
const detachWait = time.Second

// maxDeviceID is the largest device id: clients keep it in a signed int.
const maxDeviceID = math.MaxInt32

// Entry is an attached device as Registry.Devices lists it.
type Entry struct {
	ID   uint32 // DeviceID: > 0, < 2^31, never given twice
	Info Info
}

// entry is an attached device.
type entry struct {
	Entry
	device  Device
	arrival event

	// Guarded by Registry.mu.
	users   int  // clients connecting or connected
	leaving bool // no longer to be connected to
	gone    bool // the departure has been announced

	left chan struct{} // closed when leaving starts
	idle chan struct{} // closed when leaving and users is 0
}

// Registry holds the attached devices and tells listening clients of changes.
// Its methods may be called from any goroutine.
type Registry struct {
	mu        sync.Mutex // guards everything below
	lastID    uint32
	entries   []*entry // USB before Network, each by id
	listeners map[*listener]struct{}
	list      []byte // encoded ListDevices payload, nil after a change; never written to
}

// NewRegistry returns a registry without devices.
func NewRegistry() *Registry {
	return &Registry{listeners: make(map[*listener]struct{})}
}

// Attach shows a device to all clients and returns its new id. It refuses what
// cannot be shown in full (ErrIncomplete) and a UDID that is already present on
// the same transport (ErrAttached).
func (r *Registry) Attach(info Info, d Device) (uint32, error) {
	info, err := info.complete()
	if err != nil {
		return 0, fmt.Errorf("attach: %w", err)
	}
	if d == nil {
		return 0, fmt.Errorf("attach %s: %w: no device", info.UDID, ErrIncomplete)
	}
	id, victims, err := r.attach(info, d)
	drop(victims)
	if err != nil {
		return 0, fmt.Errorf("attach %s: %w", info.UDID, err)
	}
	return id, nil
}

func (r *Registry) attach(info Info, d Device) (id uint32, victims []*listener, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lastID == maxDeviceID {
		return 0, nil, ErrNoIDs
	}
	for _, e := range r.entries {
		if e.Info.UDID != info.UDID || e.Info.Transport != info.Transport {
			continue
		}
		if !e.leaving {
			return 0, nil, ErrAttached
		}
		victims = r.removeLocked(e) // back before its departure was told
		break
	}
	id = r.lastID + 1
	arrival, err := attachedEvent(id, info)
	if err != nil {
		return 0, victims, err
	}
	r.lastID = id
	e := &entry{
		Entry:   Entry{ID: id, Info: info},
		device:  d,
		arrival: arrival,
		left:    make(chan struct{}),
		idle:    make(chan struct{}),
	}
	i, _ := slices.BinarySearchFunc(r.entries, e, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Info.Transport, b.Info.Transport), cmp.Compare(a.ID, b.ID))
	})
	r.entries = slices.Insert(r.entries, i, e)
	r.list = nil
	return id, append(victims, r.broadcastLocked(e, arrival)...), nil
}

// Detach takes a device away. The caller ends the device's connections first.
// New connections are refused at once; Detached is sent when the clients of the
// old ones have seen their end, or after a second. Detach returns after that;
// an unknown id is ignored.
func (r *Registry) Detach(id uint32) {
	r.mu.Lock()
	i := slices.IndexFunc(r.entries, func(e *entry) bool { return e.ID == id })
	if i < 0 || r.entries[i].leaving {
		r.mu.Unlock()
		return
	}
	e := r.entries[i]
	e.leaving = true
	close(e.left)
	if e.users == 0 {
		close(e.idle)
	}
	r.mu.Unlock()

	t := time.NewTimer(detachWait)
	defer t.Stop()
	select {
	case <-e.idle:
	case <-t.C:
	}

	r.mu.Lock()
	victims := r.removeLocked(e)
	r.mu.Unlock()
	drop(victims)
}

// removeLocked takes e off the list and tells the listeners, once.
func (r *Registry) removeLocked(e *entry) (victims []*listener) {
	if e.gone {
		return nil
	}
	e.gone = true
	r.entries = slices.DeleteFunc(r.entries, func(other *entry) bool { return other == e })
	r.list = nil
	return r.broadcastLocked(e, detachedEvent(e.ID, e.Info.Transport))
}

// Paired tells listeners that a pair record for the device with this UDID was
// made, naming its id on USB rather than that on the network. A device that is
// not attached is ignored.
func (r *Registry) Paired(udid string) {
	r.paired(func(e *entry) bool { return e.Info.UDID == udid })
}

// pairedID is Paired for a client that names the device by id. It reports
// whether id and udid belong together.
func (r *Registry) pairedID(id int64, udid string) bool {
	return r.paired(func(e *entry) bool { return int64(e.ID) == id && e.Info.UDID == udid })
}

func (r *Registry) paired(match func(*entry) bool) bool {
	r.mu.Lock()
	var victims []*listener
	i := slices.IndexFunc(r.entries, match)
	if i >= 0 {
		e := r.entries[i]
		victims = r.broadcastLocked(e, pairedEvent(e.ID, e.Info.Transport))
	}
	r.mu.Unlock()
	drop(victims)
	return i >= 0
}

// Devices lists the attached devices as clients see them.
func (r *Registry) Devices() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Entry, len(r.entries))
	for i, e := range r.entries {
		list[i] = e.Entry
	}
	return list
}

// Clients is the number of clients that are connected, or connecting, to the
// device with the given id.
func (r *Registry) Clients(id uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.ID == id {
			return e.users
		}
	}
	return 0
}

// acquire returns the device with the given id for one client, or nil. The
// caller must release it.
func (r *Registry) acquire(id int64) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if int64(e.ID) == id && !e.leaving {
			e.users++
			return e
		}
	}
	return nil
}

// release ends what acquire began.
func (r *Registry) release(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.users--
	if e.users == 0 && e.leaving {
		close(e.idle)
	}
}

// deviceList returns the payload of the reply to ListDevices for a client that sees
// some devices. It is shared and must not be written to.
func (r *Registry) deviceList(sees func(*entry) bool) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hidden := slices.ContainsFunc(r.entries, func(e *entry) bool { return !sees(e) })
	if r.list != nil && !hidden {
		return r.list, nil
	}
	reply := deviceListReply{DeviceList: make([]attached, 0, len(r.entries))}
	for _, e := range r.entries {
		if !hidden || sees(e) {
			reply.DeviceList = append(reply.DeviceList, newAttached(e.ID, e.Info))
		}
	}
	list, err := plist.MarshalXML(reply)
	if err != nil {
		return nil, fmt.Errorf("encode device list: %w", err)
	}
	if !hidden {
		r.list = list
	}
	return list, nil
}

// subscribe queues first, the Result of Listen, and the arrival of every
// attached device, and adds l to those who are told of changes. All this is one
// step: l sees each device exactly once.
func (r *Registry) subscribe(l *listener, first []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	snapshot := make([][]byte, 1, 1+len(r.entries))
	snapshot[0] = first
	for _, e := range r.entries {
		if b := e.arrival.form(l.version); b != nil && l.sees(e) {
			snapshot = append(snapshot, b)
		}
	}
	l.start(snapshot)
	r.listeners[l] = struct{}{}
}

func (r *Registry) unsubscribe(l *listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.listeners, l)
}

// broadcastLocked queues what happened to e with every listener that sees it. It
// returns those whose queue is full, no longer subscribed; the caller drops them
// after unlocking.
func (r *Registry) broadcastLocked(e *entry, what event) (victims []*listener) {
	for l := range r.listeners {
		if b := what.form(l.version); b != nil && l.sees(e) && !l.push(b) {
			delete(r.listeners, l)
			victims = append(victims, l)
		}
	}
	return victims
}

// listenerEntries lists the listening clients in the order of their numbers.
func (r *Registry) listenerEntries() []listenerEntry {
	r.mu.Lock()
	list := make([]*listener, 0, len(r.listeners))
	for l := range r.listeners {
		list = append(list, l)
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b *listener) int { return cmp.Compare(a.number, b.number) })
	entries := make([]listenerEntry, len(list))
	for i, l := range list {
		name := cmp.Or(l.identity.progName, "unknown")
		entries[i] = listenerEntry{
			BundleID:          l.identity.bundleID,
			IDString:          strconv.FormatUint(l.number, 10) + "-" + name,
			ProgName:          name,
			KLibUSBMuxVersion: l.identity.libVersion,
		}
	}
	return entries
}
