package doctor

import (
	"slices"
	"strings"
	"testing"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// facts of a computer with Anna's phone and a daemon of ours that says what it
// is.
func facts(state trust.State) Facts {
	f := Facts{
		Now: now, Controllers: 1,
		USB: []USBDevice{{
			Port: "1-2", Bus: 1, Address: 7, Vendor: "05ac", Product: "12a8", Name: "iPhone", Serial: strings.ReplaceAll(annasUDID, "-", ""),
			Kind: KindMux, Speed: 480e6, Configuration: "4", Authorized: "1", PowerControl: "on", RuntimeStatus: "active",
			Node:   Node{Path: "/dev/bus/usb/001/007", Exists: true, Mode: 0o664, Owner: "root:root"},
			Driver: "usb", MuxInterface: "1-2:4.1", MuxDriver: "usbfs", Holder: &Process{PID: 700, Program: "usbmuxd"}, HoldersKnown: true,
		}},
		Udev: Udev{Running: true, Rules: []string{"/usr/lib/udev/rules.d/39-usbmuxd.rules"}},
		Records: RecordDir{
			Node: Node{Path: "/lockdown", Exists: true, Mode: 0o755, Owner: "root:root"},
			Free: 21 << 30, FreeKnown: true, Listed: true, Files: []string{annasUDID}, BUIDFile: true,
		},
	}
	daemon(&f, anna(string(state), "The reason", "The next step"))
	f.Daemon.Records = []control.Record{annasRecord()}
	return f
}

// TestStates judges each trust state.
func TestStates(t *testing.T) {
	want := map[trust.State]struct {
		id     string // that the verdict rests on
		result Result
	}{
		trust.ChargingOnly:        {CheckCharging, Problem},
		trust.NoMux:               {CheckMux, Problem},
		trust.Recovery:            {CheckRecovery, Problem},
		trust.DFU:                 {CheckRecovery, Problem},
		trust.Connecting:          {CheckTrust, Note},
		trust.NotAnswering:        {CheckTrust, Problem},
		trust.RestoreMode:         {CheckRecovery, Problem},
		trust.NoLockdown:          {"", OK},
		trust.NotAsked:            {CheckDialog, Problem},
		trust.Locked:              {CheckLock, Problem},
		trust.LockedSinceBoot:     {CheckLock, Problem},
		trust.DialogShown:         {CheckDialog, Problem},
		trust.PasscodeAwaited:     {CheckDialog, Problem},
		trust.DialogGone:          {CheckDialog, Problem},
		trust.AnswerNotAccepted:   {CheckDialog, Problem},
		trust.Denied:              {CheckDenial, Problem},
		trust.AccessoryRestricted: {CheckAccessory, Problem},
		trust.Trusted:             {"", OK},
		trust.Expiring:            {"", OK},
		trust.Disabled:            {CheckTrust, Problem},
		trust.ForgottenByPhone:    {CheckRecord, Problem},
		trust.RecordBroken:        {CheckRecord, Problem},
		trust.BUIDMismatch:        {CheckBUID, Problem},
		trust.SupervisedChallenge: {CheckSupervision, Problem},
		trust.PairingProhibited:   {CheckSupervision, Problem},
		trust.FindMyProtected:     {CheckSupervision, Problem},
		trust.EscrowLocked:        {CheckLock, Problem},
		trust.ServiceLimit:        {CheckTrust, Problem},
		"a state of tomorrow":     {CheckTrust, Unknown},
	}
	for _, s := range append(trust.States(), "a state of tomorrow") {
		t.Run(string(s), func(t *testing.T) {
			w, ok := want[s]
			if !ok {
				t.Fatal("this test does not know the state")
			}
			r := Judge(facts(s))
			if r.Deciding != w.id || r.Result != w.result {
				t.Errorf("want %s by %q, got %s by %q: %s", w.result, w.id, r.Result, r.Deciding, r.Verdict)
			}
			n := 0
			for _, c := range r.Checks {
				if c.Result == Problem {
					n++
				}
			}
			if n > 1 {
				t.Errorf("one state, %d problems: %+v", n, r.Checks)
			}
		})
	}
}

// TestJudge changes one fact of a computer on which all is well.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		id     string
		result Result
		found  string // part of Found, Means or Do
	}{
		{"all is well", func(*Facts) {}, CheckTrust, OK, "trusts this computer"},
		{"hidden bus", func(f *Facts) { f.USB, f.Unseen = nil, []Unseen{{unseenBus, "permission denied"}} }, CheckCable, OK, "The daemon sees Anna's iPhone"},
		{"hidden bus, no phone", func(f *Facts) { f.USB, f.Daemon, f.Unseen = nil, nil, []Unseen{{unseenBus, "permission denied"}} }, CheckCable, Unknown, "permission denied"},
		{"by name", func(f *Facts) { f.Device = "anna" }, CheckCable, OK, "Anna's iPhone"},
		{"asked of a phone that sysfs hides", func(f *Facts) { f.Device, f.USB = annasUDID, nil }, CheckCable, OK, "The daemon sees"},
		{"node in an odd place", func(f *Facts) { f.USB[0].Node.Error = "input/output error" }, CheckNode, Unknown, "input/output error"},
		{"daemon's group may", func(f *Facts) {
			f.Daemon.Devices, f.Daemon.UID, f.Groups, f.USB[0].Node.GID = nil, 140, []int{46}, 46
		}, CheckNode, OK, "may open"},
		{"daemon's group may not", func(f *Facts) {
			f.Daemon.Devices, f.Daemon.UID, f.Groups = nil, 140, []int{46}
		}, CheckNode, Problem, "names the daemon's user"},
		{"an access list may let the daemon in", func(f *Facts) {
			f.Daemon.Devices, f.Daemon.UID, f.Groups, f.USB[0].Node.ACL = nil, 140, []int{46}, true
		}, CheckNode, Unknown, "getfacl"},
		{"an access list may let the daemon write", func(f *Facts) {
			f.Daemon.UID, f.Groups, f.Records.ACL = 140, []int{46}, true
		}, CheckRecordDir, Unknown, "getfacl"},
		{"second daemon on the socket", func(f *Facts) { f.Socket.Peer.PID = 812 }, CheckOtherDaemon, Problem, "pid 812"},
		{"socket by systemd", func(f *Facts) { f.Socket.Peer = &Process{PID: 1, Program: "systemd"} }, CheckOtherDaemon, OK, ""},
		{"socket held by systemd", func(f *Facts) { f.Socket.Peer = &Process{PID: 1, Program: "systemd"} }, CheckSocket, OK, "systemd (pid 1) holds it"},
		{"second daemon", func(f *Facts) {
			f.Processes = []Process{{PID: 700, Program: "usbmuxd"}, {PID: 812, Program: "usbmuxd"}}
		}, CheckOtherDaemon, Note, "pid 812"},
		{"daemon over TCP", func(f *Facts) { f.Daemon, f.Control, f.Socket.Peer = nil, ControlSocket{Node: Node{Path: "/c"}}, nil }, CheckOtherDaemon, Problem, "Another daemon"},
		{"no udev, yet a phone is open", func(f *Facts) { f.Udev = Udev{} }, CheckUdev, OK, "nevertheless"},
		{"no udev, no phone open", func(f *Facts) { f.Udev, f.Daemon.Devices = Udev{}, nil }, CheckUdev, Note, "as root"},
		{"held by another", func(f *Facts) {
			f.USB[0].Holder.PID, f.Daemon.Devices[0].UDID = 901, nil
		}, CheckHolder, Problem, "pid 901"},
		{"held by somebody", func(f *Facts) {
			f.USB[0].Holder, f.USB[0].HoldersKnown, f.Daemon.Devices = nil, false, nil
		}, CheckHolder, Unknown, "hidden"},
		{"held, by inference", func(f *Facts) { f.USB[0].Holder, f.USB[0].HoldersKnown = nil, false }, CheckHolder, OK, "talks to the phone"},
		{"asleep and silent", func(f *Facts) {
			f.USB[0].PowerControl, f.USB[0].RuntimeStatus, f.Daemon.Devices[0].Trust = "auto", "suspended", "not-answering"
		}, CheckSuspend, Problem, "put the port to sleep"},
		{"asleep", func(f *Facts) { f.USB[0].PowerControl, f.USB[0].RuntimeStatus = "auto", "suspended" }, CheckSuspend, Note, "put the port to sleep"},
		{"awake", func(f *Facts) { f.USB[0].PowerControl = "auto" }, CheckSuspend, OK, ""},
		{"socket for another group", func(f *Facts) {
			f.Socket.Accepts, f.Socket.Answers, f.Socket.Denied, f.Socket.Mode = false, false, true, 0o660
		}, CheckSocket, Problem, "srw-rw----"},
		{"stale socket", func(f *Facts) { f.Socket.Accepts, f.Socket.Answers, f.Daemon = false, false, nil }, CheckSocket, Problem, "Nobody answers"},
		{"daemon elsewhere", func(f *Facts) {
			f.Socket.Exists, f.Socket.Accepts, f.Socket.Answers, f.Daemon.Sockets = false, false, false, []string{"/run/other"}
		}, CheckSocket, Problem, "listens on /run/other"},
		{"control socket denied", func(f *Facts) {
			f.Daemon, f.Control.Accepts, f.Control.Answers, f.Control.Denied = nil, false, false, true
		}, CheckControl, Problem, "may not connect"},
		{"control socket stale", func(f *Facts) {
			f.Daemon, f.Control.Accepts, f.Control.Answers, f.Socket.Peer = nil, false, false, &Process{PID: 1, Program: "systemd"}
		}, CheckControl, Problem, "Nobody answers"},
		{"control socket talks nonsense", func(f *Facts) { f.Daemon, f.Control.Answers, f.Control.Error = nil, false, "nonsense" }, CheckControl, Problem, "nonsense"},
		{"daemon cannot use its directory", func(f *Facts) { f.Daemon.RecordDirError = "no space left on device" }, CheckRecordDir, Problem, "no space left"},
		{"directory hidden", func(f *Facts) { f.Records.Exists, f.Records.Error = false, "permission denied" }, CheckRecordDir, Unknown, "permission denied"},
		{"directory gone", func(f *Facts) { f.Records.Exists = false }, CheckRecordDir, Problem, "install -d"},
		{"read-only", func(f *Facts) { f.Records.ReadOnly = true }, CheckRecordDir, Problem, "read-only"},
		{"full", func(f *Facts) { f.Records.Free = 4096 }, CheckRecordDir, Problem, "4 KiB free"},
		{"nearly full", func(f *Facts) { f.Records.Free = 5 << 20 }, CheckRecordDir, Note, "5 MiB free"},
		{"daemon's user may not write", func(f *Facts) { f.Daemon.UID = 140 }, CheckRecordDir, Problem, "chown -R 140"},
		{"daemon's user may write", func(f *Facts) { f.Daemon.UID, f.Records.UID = 140, 140 }, CheckRecordDir, OK, ""},
		{"daemon's group may write", func(f *Facts) { f.Daemon.UID, f.Groups, f.Records.GID, f.Records.Mode = 140, []int{46}, 46, 0o775 }, CheckRecordDir, OK, ""},
		{"names hidden", func(f *Facts) { f.Records.Listed, f.Unseen = false, []Unseen{{unseenRecords, "permission denied"}} }, CheckKeys, Unknown, "permission denied"},
		{"no identity", func(f *Facts) { f.Daemon.BUIDError = "file is empty" }, CheckBUID, Problem, "file is empty"},
		{"foreign record of an absent phone", func(f *Facts) {
			f.Daemon.Records = append(f.Daemon.Records, control.Record{UDID: oldUDID})
		}, CheckBUID, Note, oldUDID},
		{"records hidden", func(f *Facts) { f.Daemon.Records = nil }, CheckBUID, OK, "root only"},
		{"records hidden, phone locked", func(f *Facts) {
			f.Daemon.Records, f.Records.Listed, f.Records.Files, f.Daemon.Devices[0].Trust = nil, false, nil, "locked"
		}, CheckRecord, Unknown, "root and the group"},
		{"records hidden, phone trusts", func(f *Facts) { f.Daemon.Records, f.Records.Listed, f.Records.Files = nil, false, nil }, CheckRecord, OK, "accepts"},
		{"no record", func(f *Facts) { f.Daemon.Records = []control.Record{} }, CheckRecord, OK, "no pair record"},
		{"no escrow bag", func(f *Facts) { f.Daemon.Records[0].HasEscrowBag = false }, CheckRecord, Note, "escrow bag"},
		{"never used", func(f *Facts) { f.Daemon.Records[0].LastUsed = nil }, CheckRecord, OK, "last use is not known"},
		{"broken record", func(f *Facts) { f.Daemon.Records[0].Problem = "no HostID" }, CheckRecord, Problem, "no HostID"},
		{"broken record with a copy", func(f *Facts) {
			f.Daemon.Records[0].Problem, f.Daemon.Records[0].Copies = "no HostID", []control.Copy{{ID: "x"}}
		}, CheckRecord, Problem, "records restore"},
		{"record of tomorrow", func(f *Facts) { f.Daemon.Records[0].Saved = now.AddDate(0, 0, 1) }, CheckClock, Problem, "2026-03-15"},
		{"record of just now", func(f *Facts) { f.Daemon.Records[0].Saved = now.Add(drift / 2) }, CheckClock, OK, ""},
		{"2023", func(f *Facts) { f.Now = early.Add(-1) }, CheckClock, Problem, "2023-12-31"},
		{"not known to the daemon", func(f *Facts) { f.Daemon.Devices = nil }, CheckTrust, Note, "does not know"},
		{"locked, in a daemon's silence", func(f *Facts) {
			d := &f.Daemon.Devices[0]
			d.Trust, d.Reason, d.NextStep = "locked", "", ""
		}, CheckLock, Problem, "nlock"},
		{"expiring", func(f *Facts) { f.Daemon.Devices[0].Trust = "expiring" }, CheckExpiry, Note, "The reason"},
		{"expiry unknown", func(*Facts) {}, CheckExpiry, OK, "not known"},
		{"one day", func(f *Facts) { f.Daemon.Devices[0].ExpiresInDays = ptr(1) }, CheckExpiry, OK, "about 1 day."},
		{"no facts", func(f *Facts) { *f = Facts{} }, CheckSocket, Unknown, "not looked at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(trust.Trusted)
			tt.change(&f)
			c, ok := check(Judge(f), tt.id)
			if !ok {
				t.Fatalf("no check %s", tt.id)
			}
			if c.Result != tt.result || !strings.Contains(c.Found+c.Means+c.Do, tt.found) {
				t.Errorf("want %s with %q, got %s: %+v", tt.result, tt.found, c.Result, c)
			}
		})
	}
}

// TestSeveralPhones asks that the first problem in the order of the checks
// decides, whichever phone has it, and that lines say whose they are.
func TestSeveralPhones(t *testing.T) {
	f := facts(trust.Denied)
	second := f.USB[0]
	second.Port, second.Serial, second.Holder = "1-3", oldUDID, nil
	f.USB = append(f.USB, second)
	bea := anna(string(trust.Locked), "Bea's iPad is locked", "Unlock it")
	bea.Name, bea.UDID, bea.PortPath = "Bea's iPad", ptr(oldUDID), "1-3"
	f.Daemon.Devices = append(f.Daemon.Devices, bea)
	r := Judge(f)
	if want := "Bea's iPad (port 1-3): Bea's iPad is locked. Unlock it. (1 more problem is above; this one comes first.)"; r.Verdict != want {
		t.Errorf("want %q, got %q", want, r.Verdict)
	}
	f.Device = "1-2"
	if r = Judge(f); r.Deciding != CheckDenial {
		t.Errorf("asked for Anna's phone: %s", r.Verdict)
	}
	if slices.ContainsFunc(r.Checks, func(c Check) bool { return strings.Contains(c.Device, "Bea") }) {
		t.Error("asked for one phone, told of two")
	}
}

// TestLadder asks for the rung that makes sense.
func TestLadder(t *testing.T) {
	for _, tt := range []struct {
		id          string
		first, last string
	}{
		{CheckLock, "unlock", "erase"},
		{CheckDenial, "replug", "erase"},
		{CheckCable, "replug", "computer"},
		{CheckCharging, "unlock", "update"},
		{CheckRecordDir, "", ""},
	} {
		all := ladder(&finding{Check: Check{ID: tt.id, Evidence: CannotTell}})
		if tt.first == "" {
			if len(all) != 0 {
				t.Errorf("%s: %d remedies at the phone for what is none of its business", tt.id, len(all))
			}
			continue
		}
		if first, last := strings.ToLower(all[0].Name), strings.ToLower(all[len(all)-1].Name); !strings.Contains(first, tt.first) || !strings.Contains(last, tt.last) {
			t.Errorf("%s: want %s to %s, got %s to %s", tt.id, tt.first, tt.last, first, last)
		}
	}
}
