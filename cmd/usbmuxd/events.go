package main

import (
	"strconv"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"gomuxd/control"
)

// event is what a line of the log is about: an id that does not change with its
// wording, and what follows or what an operator does, where that is always the same.
// docs/events.md has them for people.
type event struct{ id, next string }

// trustChanged is the event whose next step depends on the state.
const trustChanged = "trust-changed"

// events has every line of level info or above, by its message.
var events = map[string]event{
	"attached":                                                          {"phone-attached", ""},
	"detached":                                                          {"phone-detached", ""},
	"trust":                                                             {trustChanged, ""},
	"phone lost or not usable, trying again":                            {"phone-unusable", "it is tried again; muxctl doctor tells more"},
	"opening the phone anew":                                            {"phone-reopened", ""},
	"resetting the phone over USB":                                      {"phone-reset", ""},
	"cannot reset the phone":                                            {"phone-reset-failed", "pull its cable out and plug it in again"},
	"phone does not come to itself, left alone":                         {"phone-left-alone", ""},
	"phone works again":                                                 {"phone-works-again", ""},
	"Apple device without a multiplexer, left alone":                    {"device-without-mux", "muxctl status tells what it is"},
	"phone stays in its USB mode":                                       {"usb-mode-kept", "it is used as it is; muxctl mode asks again"},
	"phone refuses the USB mode":                                        {"usb-mode-refused", "it is used as it is; another mode may be known to its system"},
	"switched the USB mode, the phone comes back by itself":             {"usb-mode-switched", ""},
	"OUT endpoint halted, clearing it":                                  {"usb-out-halted", "should it go on, try another cable or port"},
	"IN endpoint halted, clearing it":                                   {"usb-in-halted", "should it go on, try another cable or port"},
	"little memory for transfers":                                       {"usb-memory-low", "raise /sys/module/usbcore/parameters/usbfs_memory_mb"},
	"bringing a phone up without libusb":                                {"usb-without-libusb", ""},
	"libusb goes on running":                                            {"libusb-running", "a restart of the daemon ends it"},
	"unexpected mux packet":                                             {"mux-packet-odd", ""},
	"dropped a TCP packet":                                              {"mux-packet-dropped", ""},
	"reset a connection":                                                {"mux-connection-reset", "its client connects again"},
	"message from the phone":                                            {"phone-message", ""},
	"no ordinary phone answers":                                         {"phone-not-ordinary", ""},
	"cannot note that the record was used":                              {"record-use-not-noted", "see whether the record directory can be written"},
	"pair record is of no use and cannot be put away":                   {"record-stuck", "see whether the record directory can be written"},
	"the pair record that is there stays":                               {"record-kept", ""},
	"paired, but the record cannot be saved":                            {"record-not-saved", "see whether the record directory can be written, then muxctl trust"},
	"cannot put the forgotten record away":                              {"record-stuck-forgotten", "see whether the record directory can be written"},
	"phone has forgotten this computer":                                 {"phone-forgot", "muxctl trust asks it again"},
	"stale temporary file not removed":                                  {"record-temporary-left", "remove it"},
	"pair record may be readable by others":                             {"record-exposed", "chmod 600 it"},
	"pair record was readable by others, now by its owner only":         {"record-hidden", ""},
	"pair record set aside":                                             {"record-set-aside", "muxctl records restore brings it back"},
	"pair record taken out of use":                                      {"record-out-of-use", "muxctl records restore brings it back"},
	"host identity made":                                                {"identity-made", ""},
	"pair record read":                                                  {"record-read", ""},
	"pair record saved":                                                 {"record-saved", ""},
	"pair record deleted":                                               {"record-deleted", "muxctl records restore brings it back"},
	"pair record saved for a device that is not attached under that id": {"record-saved-elsewhere", ""},
	"pair records do not answer":                                        {"records-slow", "see what the record directory is on"},
	"refused":                                                           {"refused", "access rules in usbmuxd.conf say who may do what"},
	"TLS client refused":                                                {"tls-refused", "see docs/remote.md for certificates"},
	"too many connections, refused":                                     {"control-full", "end some, as muxctl watch"},
	"client does not read its events, dropped":                          {"events-client-dropped", ""},
	"client's hang-up will go unseen":                                   {"hang-up-unseen", ""},
	"no reply for a client":                                             {"no-reply", "this is a mistake in the daemon: report it"},
	"cannot accept clients for now":                                     {"accept-failed", "raise the limit of open files, LimitNOFILE="},
	"trust asked for":                                                   {"operator-trust", ""},
	"trust ended":                                                       {"operator-untrust", ""},
	"trust ended with all phones":                                       {"operator-untrust-all", ""},
	"record restored":                                                   {"operator-restore", ""},
	"device reset":                                                      {"operator-reset", ""},
	"device opened anew":                                                {"operator-reopen", ""},
	"USB mode of a device set":                                          {"operator-mode", ""},
	"capture started":                                                   {"capture-started", ""},
	"capture ended":                                                     {"capture-ended", ""},
	"listening":                                                         {"listening", ""},
	"listening for some devices":                                        {"listening-for-some", ""},
	"listening for operators":                                           {"listening-for-operators", ""},
	"no control socket: muxctl will not find this daemon":               {"no-control-socket", "name a place for it with control.socket in usbmuxd.conf"},
	"ready":                          {"ready", ""},
	"stopping":                       {"stopping", ""},
	"ended":                          {"ended", "systemctl status usbmuxd"},
	"still holds the terminal":       {"terminal-held", ""},
	"limit of open files not raised": {"file-limit", "raise LimitNOFILE= of the service for many clients"},
	"a rule names somebody whom this computer does not have":                                 {"rule-names-nobody", "correct access.rule in usbmuxd.conf"},
	"the service manager's watchdog is not fed":                                              {"watchdog-unfed", ""},
	"asked to exit, ignored: started without --enable-exit":                                  {"exit-ignored", ""},
	"asked to look for phones, ignored: started without --enable-exit and --disable-hotplug": {"rescan-ignored", ""},
	"asked to look for phones":                                                               {"rescan", ""},
	"exiting, as asked: no phone is plugged in":                                              {"exit", ""},
	"not exiting, as asked: phones are plugged in":                                           {"exit-refused", ""},
	"configuration not read again, nothing has changed":                                      {"reload-failed", "correct usbmuxd.conf, then systemctl reload usbmuxd"},
	"configuration read again":                                                               {"reloaded", ""},
	"a change of the configuration needs a restart":                                          {"reload-needs-restart", "systemctl restart usbmuxd"},
	"access rules not changed":                                                               {"reload-rules-failed", ""},
	"lists of devices not changed":                                                           {"reload-lists-failed", ""},
	"uevents were lost, rescanning":                                                          {"uevents-lost", ""},
	"uevents are back":                                                                       {"uevents-back", ""},
	"no uevents, polling sysfs":                                                              {"uevents-none", "allow the service netlink, RestrictAddressFamilies="},
	"uevent of a stranger skipped":                                                           {"uevent-of-stranger", ""},
	"cannot notify systemd":                                                                  {"systemd-unnotified", ""},
	"uevent skipped":                                                                         {"uevent-skipped", ""},
	"sysfs cannot be listed, devices are kept as they are":                                   {"sysfs-unlisted", "see whether /sys is mounted"},
	"device skipped":                                                                         {"device-skipped", ""},
	"device cannot be read":                                                                  {"device-unread", ""},
	"udevd has not handled a device, taking it as it is":                                     {"udev-late", "see systemctl status systemd-udevd"},
	"the virtual phone counted protocol violations":                                          {"virtual-violations", ""},
}

// telling is a core whose lines say what an operator wants to know first: which phone
// they are about, by its name and UDID in short, the id of the event, and what is next.
type telling struct {
	zapcore.Core
	name func(udid string) string // of a phone, "" if it is not known; may be nil
	seen lineFacts                // in the logger's fields
}

// lineFacts are those of a line's fields that matter here.
type lineFacts struct{ udid, port, next, state, cause string }

func newTelling(core zapcore.Core, name func(udid string) string) zapcore.Core {
	return telling{Core: core, name: name}
}

func (l lineFacts) with(fields []zapcore.Field) lineFacts {
	for _, f := range fields {
		if f.Type != zapcore.StringType {
			continue
		}
		switch f.Key {
		case "udid":
			l.udid = f.String
		case "port_path":
			l.port = f.String
		case "next":
			l.next = f.String
		case "state":
			l.state = f.String
		case "cause":
			l.cause = f.String
		}
	}
	return l
}

// With implements zapcore.Core.
func (t telling) With(fields []zapcore.Field) zapcore.Core {
	t.Core, t.seen = t.Core.With(fields), t.seen.with(fields)
	return t
}

// Check implements zapcore.Core.
func (t telling) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if t.Enabled(e.Level) {
		return ce.AddCore(e, t)
	}
	return ce
}

// Write implements zapcore.Core.
func (t telling) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level == zapcore.DebugLevel {
		return t.Core.Write(e, fields)
	}
	line := t.seen.with(fields)
	more := make([]zapcore.Field, 0, len(fields)+3)
	if phone := t.phone(line); phone != "" {
		more = append(more, zap.String("phone", phone))
	}
	more = append(more, fields...)
	about := events[e.Message]
	next := about.next
	if about.id == trustChanged {
		_, next = words(control.Device{Trust: line.state, Cause: line.cause})
	}
	if line.next == "" && next != "" {
		more = append(more, zap.String("next", next))
	}
	if about.id != "" {
		more = append(more, zap.String("event", about.id))
	}
	return t.Core.Write(e, more)
}

// phone names the phone that a line is about, for a person: "Anna's iPhone
// (00008110..401E)", or the port it is in.
func (t telling) phone(l lineFacts) string {
	if l.udid == "" {
		if l.port == "" {
			return ""
		}
		return "port " + l.port
	}
	short := shortUDID(l.udid)
	if t.name != nil {
		if name := t.name(l.udid); name != "" {
			quoted := strconv.Quote(name) // its owner may have written anything
			return quoted[1:len(quoted)-1] + " (" + short + ")"
		}
	}
	return short
}

// shortUDID is the beginning of a UDID, which models share, and its end, which they do
// not.
func shortUDID(udid string) string {
	const begin, end = 8, 4
	if len(udid) <= begin+end+2 {
		return udid
	}
	return udid[:begin] + ".." + udid[len(udid)-end:]
}
