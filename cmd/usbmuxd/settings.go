package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"gomuxd/access"
	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/socket"
	"gomuxd/usb"
)

const (
	defaultSocket  = "/var/run/usbmuxd"
	defaultPidFile = "/var/run/usbmuxd.pid"
	defaultRecords = "/var/lib/lockdown"

	none = "NONE" // for a pid file or control socket that is not wanted
)

// modeVariable names the environment variable that holds the USB mode phones
// are switched to: 1 to 5, anything else leaves them as they are.
const modeVariable = "USBMUXD_DEFAULT_DEVICE_MODE"

// settings is what the daemon goes by: the defaults, then the configuration
// file, then the environment, then the command line. The tags are the keys of
// the file.
type settings struct {
	Listen      []string        `toml:"listen"`
	AllowRemote bool            `toml:"allow_remote"`
	RecordDir   string          `toml:"record_dir"`
	PidFile     string          `toml:"pid_file"`
	User        string          `toml:"user"`
	Foreground  bool            `toml:"foreground"`
	EnableExit  bool            `toml:"enable_exit"`
	Control     controlSettings `toml:"control"`
	Log         logSettings     `toml:"log"`
	USB         usbSettings     `toml:"usb"`
	Trust       trustSettings   `toml:"trust"`

	Recovery recoverySettings `toml:"recovery"`

	Access accessSettings `toml:"access"`
	TLS    tlsSettings    `toml:"tls"`

	Sockets []socketSettings `toml:"socket"`

	Device map[string]deviceSettings `toml:"device"` // by UDID
}

type controlSettings struct {
	Socket string `toml:"socket"`
	Group  string `toml:"group"`
}

type logSettings struct {
	Level string `toml:"level"`
	File  string `toml:"file"`
}

type usbSettings struct {
	Mode    int      `toml:"mode"`
	Hotplug bool     `toml:"hotplug"`
	Allow   []string `toml:"allow"`
	Deny    []string `toml:"deny"`
}

// recoverySettings are what is done about phones that are stuck.
type recoverySettings struct {
	Resets int `toml:"resets"` // in a row
	Stuck  int `toml:"stuck"`  // seconds that a phone may take nothing, 0: for ever
	Silent int `toml:"silent"` // seconds that lockdownd may be silent, 0: for ever
}

func (r *recoverySettings) stuck() time.Duration  { return time.Duration(r.Stuck) * time.Second }
func (r *recoverySettings) silent() time.Duration { return time.Duration(r.Silent) * time.Second }

type trustSettings struct {
	Policy             string `toml:"policy"`
	Supervisor         string `toml:"supervisor"`
	SupervisorPassword string `toml:"supervisor_password"`
}

type accessSettings struct {
	Profile string        `toml:"profile"`
	Rules   []access.Rule `toml:"rule"`
}

// socketSettings are a socket of its own for some devices.
type socketSettings struct {
	Listen  string   `toml:"listen"`
	Devices []string `toml:"devices"`
	Mode    string   `toml:"mode"`
	Group   string   `toml:"group"`
}

// deviceSettings override, for one device, what is set for all.
type deviceSettings struct {
	Mode  *int   `toml:"mode"`
	Trust string `toml:"trust"`
}

func defaults() settings {
	return settings{
		Listen:    []string{defaultSocket},
		RecordDir: defaultRecords,
		PidFile:   defaultPidFile,
		Control:   controlSettings{Group: access.Group},
		Log:       logSettings{Level: zapcore.InfoLevel.String()},
		USB:       usbSettings{Mode: int(usb.ModeInitial), Hotplug: true, Allow: []string{}, Deny: []string{}},
		Trust:     trustSettings{Policy: string(trust.Auto)},
		Recovery:  recoverySettings{Resets: 2, Stuck: 20, Silent: 120},
		Access:    accessSettings{Profile: access.DefaultProfile},
	}
}

// plainUDID makes the spellings of a UDID, and the serial number it is made of,
// equal.
func plainUDID(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }

// device gives what is set for one device, by its UDID or serial number.
func (s *settings) device(udid string) deviceSettings {
	for id, d := range s.Device {
		if plainUDID(id) == plainUDID(udid) {
			return d
		}
	}
	return deviceSettings{}
}

// policy is that for the phone with this UDID, or for all others with "".
func (s *settings) policy(udid string) trust.Policy {
	if p := s.device(udid).Trust; p != "" {
		return trust.Policy(p)
	}
	return trust.Policy(s.Trust.Policy)
}

// setPolicy sets the policy for one phone, or for all others with "".
func (s *settings) setPolicy(udid, policy string) {
	if udid == "" {
		s.Trust.Policy = policy
		return
	}
	d := s.device(udid)
	d.Trust = policy
	s.Device = maps.Clone(s.Device)
	maps.DeleteFunc(s.Device, func(id string, _ deviceSettings) bool { return plainUDID(id) == plainUDID(udid) })
	if s.Device == nil {
		s.Device = make(map[string]deviceSettings)
	}
	s.Device[udid] = d
}

// mode is the USB mode that the phone with this UDID or serial number is asked for.
func (s *settings) mode(udid string) usb.Mode {
	if m := s.device(udid).Mode; m != nil {
		return usb.Mode(*m)
	}
	return usb.Mode(s.USB.Mode)
}

// controlSocket is the path of the control socket, "" for none, and whether it
// was asked for.
func (s *settings) controlSocket() (path string, asked bool) {
	switch s.Control.Socket {
	case none:
		return "", false
	case "":
		for _, l := range s.Listen {
			if path, ok := socket.UnixPath(l); ok {
				return path + control.Suffix, false
			}
		}
		return "", false
	}
	return s.Control.Socket, true
}

// environment applies what the environment sets.
func (s *settings) environment() {
	if m := os.Getenv(modeVariable); m != "" {
		s.USB.Mode = int(usb.ParseMode(m))
	}
}

// absolute makes paths below dir, where they were given on the command line,
// absolute: a daemon in the background works elsewhere.
func (s *settings) absolute(dir string) {
	below := func(path string) string {
		if path == "" || path == none || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	for _, p := range []*string{&s.RecordDir, &s.PidFile, &s.Control.Socket, &s.Log.File, &s.Trust.Supervisor, &s.Trust.SupervisorPassword} {
		*p = below(*p)
	}
	s.Listen = slices.Clone(s.Listen)
	for i, l := range s.Listen {
		if path, ok := socket.UnixPath(l); ok {
			s.Listen[i] = below(path)
		}
	}
}

// settingError is a setting that makes no sense.
type settingError struct {
	key []string // in the configuration file
	err error
}

func (e *settingError) Error() string { return strings.Join(e.key, ".") + " " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

// validate returns the first setting, in the order of the file, that makes no
// sense by itself: a *settingError.
func (s *settings) validate() error {
	var first error
	check := func(err error, key ...string) {
		if err != nil && first == nil {
			first = &settingError{key, err}
		}
	}
	if len(s.Listen) == 0 {
		check(fmt.Errorf("names no address: no client could reach the daemon"), "listen")
	}
	for _, l := range s.Listen {
		check(checkListen(l), "listen")
	}
	check(checkPath(s.RecordDir), "record_dir")
	if s.PidFile != none {
		check(checkPath(s.PidFile), "pid_file")
	}
	if s.Control.Socket != "" && s.Control.Socket != none {
		check(checkPath(s.Control.Socket), "control", "socket")
	}
	if s.Control.Group == "" {
		check(fmt.Errorf("names no group"), "control", "group")
	}
	check(checkLevel(s.Log.Level), "log", "level")
	if s.Log.File != "" {
		check(checkPath(s.Log.File), "log", "file")
	}
	check(checkMode(s.USB.Mode), "usb", "mode")
	_, err := parseRules(s.USB.Allow)
	check(err, "usb", "allow")
	_, err = parseRules(s.USB.Deny)
	check(err, "usb", "deny")
	check(checkPolicy(s.Trust.Policy), "trust", "policy")
	for _, f := range []struct{ key, path string }{{"supervisor", s.Trust.Supervisor}, {"supervisor_password", s.Trust.SupervisorPassword}} {
		if f.path != "" {
			check(checkPath(f.path), "trust", f.key)
		}
	}
	check(checkRange(s.Recovery.Resets, 0, 10, "USB resets"), "recovery", "resets")
	check(checkRange(s.Recovery.Stuck, 5, 3600, "seconds, or 0 for ever"), "recovery", "stuck")
	check(checkRange(s.Recovery.Silent, 30, 86400, "seconds, or 0 for ever"), "recovery", "silent")
	if _, ok := access.Profiles[s.Access.Profile]; !ok {
		check(fmt.Errorf("wants %s, got %q", strings.Join(slices.Sorted(maps.Keys(access.Profiles)), " or "), s.Access.Profile), "access", "profile")
	} else if _, err := s.accessPolicy(); err != nil {
		check(err, "access", "rule")
	}
	key, err := s.TLS.validate()
	check(err, "tls", key)
	for _, l := range s.Listen {
		check(s.checkTLS(l), "listen")
	}
	for _, one := range s.Sockets {
		check(one.validate(), "socket")
	}
	seen := make(map[string]string)
	for _, id := range slices.Sorted(maps.Keys(s.Device)) {
		check(pairrecord.ValidID(id), "device", id)
		if other, twice := seen[plainUDID(id)]; twice {
			check(fmt.Errorf("is the same device as %s", other), "device", id)
		}
		seen[plainUDID(id)] = id
		d := s.Device[id]
		if d.Mode != nil {
			check(checkMode(*d.Mode), "device", id, "mode")
		}
		if d.Trust != "" {
			check(checkPolicy(d.Trust), "device", id, "trust")
		}
	}
	return first
}

// validate checks one socket.
func (o *socketSettings) validate() error {
	path, ok := socket.UnixPath(o.Listen)
	switch {
	case !ok:
		return fmt.Errorf("wants listen, the path of a Unix socket, got %q", o.Listen)
	case checkPath(path) != nil:
		return checkPath(path)
	case len(o.Devices) == 0:
		return fmt.Errorf("wants devices, those that %s shows", o.Listen)
	}
	for _, d := range o.Devices {
		if port, is := strings.CutPrefix(d, "port:"); is && port != "" {
			continue
		}
		if err := pairrecord.ValidID(d); err != nil {
			return fmt.Errorf("wants UDIDs or \"port:1-2.3\" for devices: %w", err)
		}
	}
	if _, err := o.mode(); err != nil {
		return err
	}
	return nil
}

// mode is the mode of the socket's file.
func (o *socketSettings) mode() (fs.FileMode, error) {
	if o.Mode == "" {
		return 0o666, nil
	}
	n, err := strconv.ParseUint(o.Mode, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, fmt.Errorf("wants a mode like \"0660\", got %q", o.Mode)
	}
	return fs.FileMode(n), nil
}

// checkRemote refuses addresses that other machines reach, unless the
// configuration file allows them or certificates are asked for there.
func (s *settings) checkRemote() error {
	for _, l := range s.Listen {
		if err := s.checkTLS(l); err != nil {
			return fmt.Errorf("listen %w", err)
		}
		if err := socket.CheckLoopback(l); err != nil && !s.AllowRemote {
			return fmt.Errorf("%w with allow_remote = true in the configuration file", err)
		}
	}
	return nil
}

func checkListen(address string) error {
	if address == "" || strings.HasPrefix(address, "-") {
		return fmt.Errorf("wants an address, got %q", address)
	}
	if err := socket.CheckAddress(address); err != nil {
		return fmt.Errorf("wants an address: %w", err)
	}
	return nil
}

// checkPath accepts absolute paths: the daemon's working directory is the root.
func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("wants an absolute path, got %q", path)
	}
	return nil
}

func checkPolicy(policy string) error {
	switch trust.Policy(policy) {
	case trust.Auto, trust.Ask, trust.Never:
		return nil
	}
	return fmt.Errorf("wants auto, ask or never, got %q", policy)
}

// levels of the log, from quiet to talkative.
var levels = []string{"error", "warn", "info", "debug"}

func checkLevel(level string) error {
	if !slices.Contains(levels, level) {
		return fmt.Errorf("wants error, warn, info or debug, got %q", level)
	}
	return nil
}

func checkMode(mode int) error {
	if mode < int(usb.Keep) || mode > int(usb.ModeDirect) {
		return fmt.Errorf("wants a mode from 1 to 5, or 0 to leave phones as they are, got %d", mode)
	}
	return nil
}

func checkRange(n, low, high int, what string) error {
	if n != 0 && (n < low || n > high) {
		return fmt.Errorf("wants %d to %d %s, got %d", low, high, what, n)
	}
	return nil
}

// rules are the lists of allowed and denied devices, which were checked.
func (s *settings) rules() (allow, deny []hotplug.Rule) {
	allow, _ = parseRules(s.USB.Allow)
	deny, _ = parseRules(s.USB.Deny)
	return allow, deny
}

func parseRules(texts []string) ([]hotplug.Rule, error) {
	var rules []hotplug.Rule
	for _, t := range texts {
		r, err := hotplug.ParseRule(t)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}
