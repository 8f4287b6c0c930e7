package control

import (
	"fmt"
	"slices"
	"strings"
)

// minAbbreviation is how many characters of a UDID, not counting the hyphen,
// are enough to name a phone.
const minAbbreviation = 4

// maxListed is how many devices an error enumerates.
const maxListed = 8

// Find returns the device that a person means by ref, and its key. In this order
// ref may be a UDID, with or without its hyphen, or a port path; a name; the
// beginning of a UDID, of at least four characters, or of a name. Case does not
// matter. Errors are of type *Error: CodeNotFound lists what there is,
// CodeAmbiguous what is meant by it.
func (h *Hub) Find(ref string) (key string, d Device, err error) { return h.find(ref, nil) }

// find is Find among the devices that are seen; nil sees all.
func (h *Hub) find(ref string, sees func(Device) bool) (key string, d Device, err error) {
	list := h.entries()
	if sees != nil {
		list = slices.DeleteFunc(list, func(e entry) bool { return !sees(e.Device) })
	}
	udid := plainUDID(ref)
	for _, means := range []func(entry) bool{
		func(e entry) bool { return udid != "" && e.plainUDID() == udid },
		func(e entry) bool { return e.PortPath == ref },
		func(e entry) bool { return strings.EqualFold(e.Name, ref) },
		func(e entry) bool { return abbreviates(udid, e.plainUDID()) || hasPrefixFold(e.Name, ref) },
	} {
		var found []entry
		for _, e := range list {
			if ref != "" && means(e) {
				found = append(found, e)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0].key, found[0].Device, nil
		default:
			return "", Device{}, Errorf(CodeAmbiguous, "%q may be %s: give more of the UDID, or the port", ref, enumerate(found))
		}
	}
	if len(list) == 0 {
		return "", Device{}, Errorf(CodeNotFound, "there is no device %q: none is plugged in, so plug it in", ref)
	}
	return "", Device{}, Errorf(CodeNotFound, "there is no device %q: name one that is; plugged in: %s", ref, enumerate(list))
}

// findRecord returns the record that a person means by ref: a UDID, with or
// without its hyphen, or its beginning.
func findRecord(records []Record, ref string) (Record, error) {
	udid := plainUDID(ref)
	var found []Record
	for _, r := range records {
		switch have := plainUDID(r.UDID); {
		case udid == "":
		case have == udid:
			return r, nil
		case abbreviates(udid, have):
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return Record{}, Errorf(CodeNoRecord, "there is no pair record for %q: \"muxctl records\" lists those that there are", ref)
	case 1:
		return found[0], nil
	}
	udids := make([]string, 0, maxListed)
	for _, r := range found[:min(len(found), maxListed)] {
		udids = append(udids, r.UDID)
	}
	return Record{}, Errorf(CodeAmbiguous, "%q may be %s: give more of the UDID", ref, joined(udids, len(found)))
}

// plainUDID is s as UDIDs are compared: lower case, without hyphens.
func plainUDID(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "-", ""))
}

func (d Device) plainUDID() string {
	if d.UDID == nil {
		return ""
	}
	return plainUDID(*d.UDID)
}

// abbreviates reports whether short is long enough a beginning of udid; both are
// plain.
func abbreviates(short, udid string) bool {
	return len(short) >= minAbbreviation && strings.HasPrefix(udid, short)
}

func hasPrefixFold(s, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(s), strings.ToLower(prefix))
}

func enumerate(list []entry) string {
	names := make([]string, 0, maxListed)
	for _, e := range list[:min(len(list), maxListed)] {
		names = append(names, e.describe())
	}
	return joined(names, len(list))
}

func joined(names []string, all int) string {
	s := strings.Join(names, ", ")
	if more := all - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// describe names a device for a person; a phone's name is quoted, as its owner
// may have written anything.
func (d Device) describe() string {
	what := d.Name
	if what == "" {
		what = d.Model
	}
	if what == "" {
		what = d.Class
	}
	at := "port " + d.PortPath
	if d.UDID != nil {
		at = *d.UDID + ", " + at
	}
	return fmt.Sprintf("%q (%s)", what, at)
}
