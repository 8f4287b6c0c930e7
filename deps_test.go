package gomuxd_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows lists which packages of ours each package may import, outside its
// tests; a trailing slash stands for all below. Nothing points back.
var arrows = map[string]struct {
	to  []string
	why string
}{
	"hotplug":              {nil, "an event source knows no one"},
	"usb":                  {nil, "the only package that touches USB"},
	"plist":                {nil, "the leaf that all decode with"},
	"mux":                  {nil, "TCP over a pipe; knows nothing of USB, sockets or property lists"},
	"mux/muxtest":          {nil, "an in-memory pipe"},
	"access":               {nil, "who a peer is, and rules about it"},
	"socket":               {[]string{"access", "plist", "socket/address"}, "takes devices and records as interfaces"},
	"pairrecord":           {[]string{"plist"}, "files of property lists"},
	"lockdown":             {[]string{"pairrecord", "plist"}, "speaks property lists, makes records"},
	"lockdown/flow":        {[]string{"lockdown", "lockdown/trust", "pairrecord", "plist"}, "drives the machine with the dialogue and the records"},
	"lockdown/trust":       {nil, "a state machine without I/O"},
	"control":              {[]string{"access", "lockdown/trust", "socket/address", "control/"}, "API, server, client; knows the daemon as an interface"},
	"control/explain":      {[]string{"lockdown/trust"}, "texts"},
	"control/model":        {nil, "names of models"},
	"control/observer":     {[]string{"control", "lockdown/trust"}, "remembers what the daemon does not"},
	"control/dashboard":    {[]string{"control", "control/observer"}, "shows that as a web page"},
	"control/exporter":     {[]string{"control", "control/observer"}, "and to Prometheus"},
	"control/redact":       {nil, "takes secrets out of texts"},
	"control/doctor":       {[]string{"lockdown/trust", "control", "control/explain", "control/redact", "hotplug", "socket/address", "socket/client"}, "checks in the order of a person"},
	"socket/address":       {nil, "how both ends write addresses"},
	"socket/tlstest":       {nil, "certificates for tests"},
	"socket/client":        {[]string{"plist", "socket/address"}, "the other end of the socket"},
	"cmd/muxctl":           {[]string{"control", "control/", "hotplug", "lockdown/trust", "plist", "socket/client"}, "the operator's tool"},
	"virtualphone":         {[]string{"plist", "virtualphone/"}, "never mux: a shared mistake must not hide"},
	"virtualphone/service": {[]string{"plist"}, "what runs on a phone"},
	"virtualphone/usbip":   {[]string{"virtualphone", "virtualphone/rawconn"}, "the phone as a USB device"},
	"virtualphone/rawconn": {nil, "a socket past the scheduler"},
	"virtualphone/bus":     {[]string{"virtualphone"}, "the phone in another process"},
	"cmd/usbmuxd":          {[]string{"access", "hotplug", "usb", "mux", "socket", "lockdown", "lockdown/", "pairrecord", "control", "control/explain", "control/model"}, "the only place that knows everything"},
	"cmd/virtualphone":     {[]string{"virtualphone", "virtualphone/usbip", "virtualphone/bus"}, "a remote control, and a plug"},
	"e2e":                  {nil, "sees programs from outside"},
	"e2e/bench":            {[]string{"e2e/bench/result", "e2e/vm"}, "runs the guest's part in a machine, draws its figures"},
	"e2e/bench/guest":      {[]string{"e2e/bench/result", "hotplug", "usb", "virtualphone", "virtualphone/"}, "phone and client; the null daemon is a USB pipe and little else"},
	"e2e/bench/result":     {nil, "what both of them know"},
	"e2e/hardware":         {[]string{"hotplug", "usb", "mux", "lockdown", "lockdown/trust", "pairrecord", "plist", "socket/client", "control", "control/model", "control/redact"}, "a client, and the daemon's other users' tool box"},
	"e2e/farm":             {[]string{"e2e", "socket/client", "virtualphone", "virtualphone/bus"}, "phones, their owners and clients"},
	"e2e/farm/show":        {[]string{"e2e", "e2e/farm"}, "presses keys"},
	"e2e/dropin":           {nil, "tests only"},
	"e2e/guest":            {nil, "tests only"},
	"e2e/vm":               {nil, "runs any program in a machine of its own"},
	"e2e/vm/vmrun":         {[]string{"e2e/vm"}, "a machine by hand"},
	"e2e/demo":             {[]string{"control", "e2e", "lockdown/trust", "virtualphone/", "virtualphone"}, "waits for what the API tells, needs the phone's test streams"},
}

// externals lists who may import what of others; all else is free.
var externals = map[string]struct{ by, why string }{
	"howett.net/plist":        {"plist", "unsafe on hostile input without the guard"},
	"github.com/google/gousb": {"usb", "the only package that touches libusb"},
	"github.com/spf13/":       {"cmd/", "flags belong to commands"},
	"charm.land/":             {"cmd/muxctl", "only the tool draws on terminals"},
	"github.com/godbus/":      {"cmd/muxctl", "only the tool speaks to a desktop"},
	"filippo.io/":             {"cmd/muxctl", "only exports are sealed"},
	"github.com/prometheus/":  {"control/exporter", "heavy, and not for the daemon"},
	"github.com/smallstep/":   {"lockdown", "supervisors sign there"},
	"software.sslmate.com/":   {"lockdown", "their identities are read there"},
	"github.com/coreos/":      {"cmd/", "so does systemd"},
	"github.com/pelletier/":   {"cmd/", "and the configuration file"},
	"go.uber.org/zap/zaptest": {"-", "not in programs"},
	"C":                       {"-", "no cgo of our own"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
}

// list asks the go command for our packages.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,CgoFiles"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestArrows(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, "gomuxd/")
		if name == "gomuxd" {
			continue // this test
		}
		rule, ok := arrows[name]
		if !ok {
			t.Errorf("package %s is not in the table of arrows", name)
			continue
		}
		for _, i := range p.Imports {
			if ours, is := strings.CutPrefix(i, "gomuxd/"); is {
				if !allowed(rule.to, ours) {
					t.Errorf("%s must not import %s: %s", name, ours, rule.why)
				}
				continue
			}
			for prefix, e := range externals {
				if strings.HasPrefix(i, prefix) && (prefix != "C" || i == "C") && !strings.HasPrefix(name, e.by) {
					t.Errorf("%s must not import %s: %s", name, i, e.why)
				}
			}
		}
	}
}

func allowed(to []string, name string) bool {
	return slices.ContainsFunc(to, func(a string) bool {
		return a == name || strings.HasSuffix(a, "/") && strings.HasPrefix(name, a)
	})
}

// TestNoPhoneInTheShippedDaemon asserts that the virtual phone is only in the
// build made for the demo.
func TestNoPhoneInTheShippedDaemon(t *testing.T) {
	deps := func(args ...string) bool {
		for _, p := range list(t, append(args, "-deps", "./cmd/usbmuxd")...) {
			if strings.HasPrefix(p.ImportPath, "gomuxd/virtualphone") {
				return true
			}
		}
		return false
	}
	if deps() {
		t.Error("the shipped daemon contains the virtual phone")
	}
	if !deps("-tags", "virtualphone") {
		t.Error("the demo's daemon contains no virtual phone")
	}
}

// TestNoCgo asserts that the core builds without a C compiler.
func TestNoCgo(t *testing.T) {
	cmd := exec.Command("go", "build", "./mux", "./socket", "./lockdown", "./pairrecord", "./virtualphone/...", "./plist", "./hotplug")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "CC=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
