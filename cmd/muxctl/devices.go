package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"gomuxd/control"
	"gomuxd/plist"
	"gomuxd/socket/client"
)

// usbmuxd is what muxctl asks of a usbmuxd socket.
type usbmuxd interface {
	ListDevices(context.Context) ([]client.Device, error)
	ReadBUID(context.Context) (string, error)
	ReadPairRecord(ctx context.Context, udid string) ([]byte, error)
	SavePairRecord(ctx context.Context, udid string, data []byte, deviceID uint32) error
	Connect(ctx context.Context, deviceID uint32, port uint16) (net.Conn, error)
	Listen(context.Context, func(client.Event) error) error
	Close() error
}

// unknownTrust stands in Device.Trust if the daemon tells nothing of trust.
const unknownTrust = "unknown"

// devices lists what is plugged in, by the control socket, else by that of any
// usbmuxd. what is what the command cannot show then.
func (a *app) devices(ctx context.Context, what string) ([]control.Device, error) {
	devices, err := a.api().Devices(ctx)
	if err == nil || !noControl(err) {
		return devices, err
	}
	return a.plainDevices(ctx, err, what)
}

// device returns the one that ref means.
func (a *app) device(ctx context.Context, ref, what string) (control.Device, error) {
	d, err := a.api().Device(ctx, ref)
	if err == nil || !noControl(err) {
		return d, err
	}
	devices, err := a.plainDevices(ctx, err, what)
	if err != nil {
		return control.Device{}, err
	}
	return find(devices, ref)
}

// noControl reports whether a usbmuxd without a control socket may be the cause.
func noControl(err error) bool {
	return errors.Is(err, control.ErrNoDaemon) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errMute)
}

// connect opens the usbmuxd socket in place of the control socket, which gave
// cause, and tells once what is missing and why.
func (a *app) connect(ctx context.Context, cause error, what string) (usbmuxd, error) {
	s, err := a.usbmuxd(ctx)
	if err != nil {
		if errors.Is(err, client.ErrNoDaemon) {
			return nil, fmt.Errorf("%w; nor does anybody answer on the control socket", err)
		}
		return nil, err
	}
	a.tell(cause, what)
	return s, nil
}

// tell says in one line what is missing and why.
func (a *app) tell(cause error, what string) {
	if a.sawNothing {
		return
	}
	a.sawNothing = true
	why := "nobody answers on the control socket " + a.controlPath() + ", which other usbmuxds than this project's do not have"
	if !errors.Is(cause, control.ErrNoDaemon) {
		why = oneLine(cause.Error())
	}
	fmt.Fprintf(a.stderr, "muxctl: %s: %s\n", what, why)
}

// plainDevices lists the devices of any usbmuxd, with what each phone tells
// everyone of itself.
func (a *app) plainDevices(ctx context.Context, cause error, what string) ([]control.Device, error) {
	s, err := a.connect(ctx, cause, what)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	list, err := s.ListDevices(ctx)
	if err != nil {
		return nil, err
	}
	devices := make([]control.Device, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, d := range list {
		wg.Go(func() {
			slots <- struct{}{}
			devices[i] = plainDevice(ctx, s, d)
			<-slots
		})
	}
	wg.Wait()
	return devices, nil
}

func plainDevice(ctx context.Context, s usbmuxd, d client.Device) control.Device {
	out := control.Device{
		DeviceID:   &d.ID,
		UDID:       &d.UDID,
		Connection: d.Connection,
		Speed:      d.Speed,
		Trust:      unknownTrust,
		Reason:     "This daemon does not tell how the phone stands with trust; this computer has no pair record of it.",
		NextStep:   "Unlock it, and tap Trust if it asks.",
	}
	if d.LocationID != 0 && d.Connection == control.ConnectionUSB {
		out.PortPath = fmt.Sprintf("bus %d, address %d", d.LocationID>>16, d.LocationID&0xffff)
	}
	if _, err := s.ReadPairRecord(ctx, d.UDID); err == nil {
		out.Reason = "This daemon does not tell how the phone stands with trust; this computer has a pair record of it."
		out.NextStep = ""
	}
	out.Name, out.Product, out.Version, out.Class = introduce(ctx, s, d.ID)
	return inWords(out)
}

const (
	lockdownPort = 62078
	maxValues    = 256 << 10 // bytes of lockdownd's reply
	introduction = 3 * time.Second
)

// introduce asks a phone what it tells everyone, paired or not, without raising
// a dialog. Silence leaves everything empty.
func introduce(ctx context.Context, s usbmuxd, id uint32) (name, product, version, class string) {
	ctx, cancel := context.WithTimeout(ctx, introduction)
	defer cancel()
	conn, err := s.Connect(ctx, id, lockdownPort)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	request, err := plist.MarshalXML(struct{ Label, Request string }{"muxctl", "GetValue"})
	if err != nil {
		return
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxValues {
		return
	}
	reply := make([]byte, n)
	if _, err := io.ReadFull(conn, reply); err != nil {
		return
	}
	return decodeValues(reply)
}

func decodeValues(reply []byte) (name, product, version, class string) {
	var v struct {
		Value struct{ DeviceName, ProductType, ProductVersion, DeviceClass string }
	}
	var odd *plist.TypeError
	if err := plist.Unmarshal(reply, &v); err != nil && !errors.As(err, &odd) {
		return
	}
	return v.Value.DeviceName, v.Value.ProductType, v.Value.ProductVersion, v.Value.DeviceClass
}

// find is control's rule for the devices of any usbmuxd: a UDID, a name, or the
// beginning of one.
func find(devices []control.Device, ref string) (control.Device, error) {
	plain := plainUDID(ref)
	if ref != "" {
		for _, means := range []func(control.Device) bool{
			func(d control.Device) bool { return plain != "" && plainUDID(udidOf(d)) == plain },
			func(d control.Device) bool { return strings.EqualFold(d.Name, ref) },
			func(d control.Device) bool {
				return len(plain) >= 4 && strings.HasPrefix(plainUDID(udidOf(d)), plain) ||
					strings.HasPrefix(strings.ToLower(d.Name), strings.ToLower(ref))
			},
		} {
			var found []control.Device
			for _, d := range devices {
				// A phone on cable and Wi-Fi is one phone; the cable comes first.
				if means(d) && !slices.ContainsFunc(found, func(f control.Device) bool { return udidOf(f) == udidOf(d) }) {
					found = append(found, d)
				}
			}
			if len(found) == 1 {
				return found[0], nil
			}
			if len(found) > 1 {
				return control.Device{}, control.Errorf(control.CodeAmbiguous, "%q may be %s: give more of the UDID", ref, enumerate(found))
			}
		}
	}
	if len(devices) == 0 {
		return control.Device{}, control.Errorf(control.CodeNotFound, "there is no device %q: none is plugged in, so plug it in", ref)
	}
	return control.Device{}, control.Errorf(control.CodeNotFound, "there is no device %q: name one that is; plugged in: %s", ref, enumerate(devices))
}

// chosen is the device that a command with at most one argument means.
func chosen(ctx context.Context, c api, args []string) (control.Device, error) {
	if len(args) == 1 {
		return c.Device(ctx, args[0])
	}
	all, err := c.Devices(ctx)
	if err != nil {
		return control.Device{}, err
	}
	return only(all)
}

// only returns the device that a command without an argument means.
func only(devices []control.Device) (control.Device, error) {
	switch len(devices) {
	case 0:
		return control.Device{}, control.Errorf(control.CodeNotFound, "no iPhone or iPad is plugged in: plug one in, or run \"muxctl doctor\" if one is")
	case 1:
		return devices[0], nil
	}
	return control.Device{}, usagef("several devices are plugged in, name one of them: %s", enumerate(devices))
}

func enumerate(devices []control.Device) string {
	const most = 8
	var names []string
	for _, d := range devices[:min(len(devices), most)] {
		names = append(names, fmt.Sprintf("%q (%s)", title(d), where(d)))
	}
	s := strings.Join(names, ", ")
	if more := len(devices) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// title is what a person calls a device.
func title(d control.Device) string {
	for _, s := range []string{d.Name, d.Model, d.Class, udidOf(d)} {
		if s = cut(oneLine(s), maxName); s != "" {
			return s
		}
	}
	return "Apple device"
}

// where tells devices apart that have one name.
func where(d control.Device) string {
	if u := udidOf(d); u != "" {
		return u
	}
	return "port " + oneLine(d.PortPath)
}

func udidOf(d control.Device) string {
	if d.UDID == nil {
		return ""
	}
	return *d.UDID
}

// key tells one device from another for as long as it is plugged in, also while
// its UDID is not known yet.
func key(d control.Device) string {
	if d.PortPath != "" {
		return "port " + d.PortPath
	}
	return plainUDID(udidOf(d)) + " " + d.Connection
}

// same reports whether two are one device, plugged in again perhaps.
func same(a, b control.Device) bool {
	if u, v := plainUDID(udidOf(a)), plainUDID(udidOf(b)); u != "" && v != "" {
		return u == v && a.Connection == b.Connection
	}
	return key(a) == key(b)
}

// plainUDID is a UDID as UDIDs are compared.
func plainUDID(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }
