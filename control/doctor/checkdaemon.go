package doctor

import (
	"cmp"
	"fmt"
	"time"

	"gomuxd/socket/client"
)

// pid1 is systemd, which listens in the daemon's place.
const pid1 = 1

// otherDaemon tells a second daemon, or one that is not ours.
func (j *judge) otherDaemon() {
	s, d := &j.f.Socket, j.f.Daemon
	var others []string
	for _, p := range j.f.Processes {
		if d == nil && (s.Peer == nil || p.PID != s.Peer.PID) || d != nil && p.PID != d.PID {
			others = append(others, p.String())
		}
	}
	switch {
	case d != nil && s.Accepts && s.Peer != nil && s.Peer.PID != d.PID && s.Peer.PID != pid1:
		j.add(CheckOtherDaemon, Problem, Seen, fmt.Sprintf("On %s answers %s, not our daemon (pid %d).", path(s.Path), *s.Peer, d.PID),
			"Programs talk to the other daemon, and the two fight over every phone.", stop(s.Peer.PID))
	case d == nil && s.Accepts && !j.f.Control.Accepts && (s.Peer == nil || s.Peer.PID != pid1):
		j.foreign = true
		who := "Another daemon"
		if s.Peer != nil {
			who = s.Peer.String()
		}
		do := "Stop it and start this one instead: \"systemctl disable --now\" its service, then \"systemctl start usbmuxd\"."
		if s.Peer != nil {
			do = stop(s.Peer.PID) + " Then start this one: \"systemctl start usbmuxd\"."
		}
		j.add(CheckOtherDaemon, Problem, Inferred, fmt.Sprintf("%s answers on %s, and serves no control socket.", who, path(s.Path)),
			"It is another usbmuxd, such as the C daemon. Programs may reach phones through it, but it cannot say why a phone does not work.", do)
	case len(others) > 0 && d != nil:
		j.add(CheckOtherDaemon, Note, Seen, "Another daemon runs as well: "+list(others)+".",
			"It may take phones away from this one; one in a container of its own is harmless.", "Stop it if it is not wanted.")
	case len(others) > 0 && !s.Accepts:
		j.add(CheckOtherDaemon, Note, Seen, "A daemon runs: "+list(others)+", but not on "+path(s.Path)+".",
			"It may listen somewhere else, or be stuck.", "Restart it: \"systemctl restart usbmuxd\".")
	default:
		j.add(CheckOtherDaemon, OK, Seen, "No other daemon was found.", "", "")
	}
}

func stop(pid int) string {
	return fmt.Sprintf("Stop it: \"systemctl status %d\" names its service, \"systemctl disable --now\" ends it for good.", pid)
}

func (j *judge) socket() {
	s, d := &j.f.Socket, j.f.Daemon
	at := path(s.Path)
	if at == "" {
		j.add(CheckSocket, Unknown, CannotTell, "The socket was not looked at.", "", "")
		return
	}
	elsewhere := ""
	if d != nil && len(d.Sockets) > 0 {
		elsewhere = " The daemon listens on " + list(d.Sockets) + "."
	}
	down := start
	if d != nil {
		down = "Set " + client.AddressEnv + " for the programs to the daemon's address, or restart the daemon: \"systemctl restart usbmuxd\"."
	}
	switch {
	case s.NotSocket:
		j.add(CheckSocket, Problem, Seen, at+" is there, but is no socket."+elsewhere,
			"Something else took the name, so no daemon can listen there.", "Move it away, then restart the daemon: \"systemctl restart usbmuxd\".")
	case !s.Accepts && s.Denied:
		j.add(CheckSocket, Problem, Seen, fmt.Sprintf("This user may not connect to %s (%s).", at, s.permissions("s")),
			"The daemon was told to let only some users in.", "Join the group of the socket, or run programs as root.")
	case !s.Accepts && !s.TCP && !s.Exists:
		j.add(CheckSocket, Problem, Seen, "There is no socket at "+at+"."+elsewhere, "No daemon runs there, so no program can see a phone.", down)
	case !s.Accepts:
		j.add(CheckSocket, Problem, Seen, "Nobody answers on "+at+"."+elsewhere, "The daemon has ended and left its socket behind, or hangs.", down)
	case !s.Answers:
		j.add(CheckSocket, Problem, Seen, fmt.Sprintf("%s takes connections, but gives no answer (%s).", at, cmp.Or(clean(s.Error, 300), "no reason known")),
			"The daemon hangs, is overloaded, or is no usbmuxd.", "Restart it: \"systemctl restart usbmuxd\"; its log says why: \"journalctl -u usbmuxd\".")
	case !s.TCP && s.Mode&0o006 != 0o006:
		j.add(CheckSocket, Note, Seen, fmt.Sprintf("%s answers (%s).", at, s.permissions("s")),
			"Only some users may connect; for others there seem to be no phones.", "If that is not wanted, start the daemon with a socket of mode 0666.")
	default:
		found := at + " answers."
		switch {
		case s.Peer == nil:
		case s.Peer.PID == pid1:
			found = fmt.Sprintf("%s answers, and %s holds it, whether the daemon runs or not.", at, *s.Peer)
		default:
			found = fmt.Sprintf("%s answers: %s.", at, *s.Peer)
		}
		j.add(CheckSocket, OK, Seen, found, "", "")
	}
}

func (j *judge) control() {
	c, d := &j.f.Control, j.f.Daemon
	missing := Problem
	if j.foreign || !j.f.Socket.Accepts {
		missing = Note // no wonder, and said already
	}
	at := path(c.Path)
	switch {
	case d != nil:
		policy := ""
		if d.Preflight != "" {
			policy = ", trust policy " + name(d.Preflight)
		}
		j.add(CheckControl, OK, Seen, fmt.Sprintf("The daemon answers: version %s, pid %d%s.", name(d.Version), d.PID, policy), "", "")
	case at == "":
		j.add(CheckControl, Unknown, CannotTell, "The control socket was not looked at.", "", "")
	case c.NotSocket:
		j.add(CheckControl, Problem, Seen, at+" is there, but is no socket.", "Something else took the name, so the daemon cannot say how phones are.",
			"Move it away, then restart the daemon: \"systemctl restart usbmuxd\".")
	case c.Accepts:
		j.add(CheckControl, Problem, Seen, fmt.Sprintf("%s takes connections, but says: %s.", at, cmp.Or(clean(c.Error, 300), "nothing of use")), "The daemon is in trouble, or is not this one.",
			"Restart the daemon: \"systemctl restart usbmuxd\"; its log says why: \"journalctl -u usbmuxd\".")
	case c.Denied:
		j.add(CheckControl, Problem, Seen, fmt.Sprintf("This user may not connect to %s (%s).", at, c.permissions("s")),
			"Without it nobody can say whether a phone trusts this computer.", "Run this as root.")
	case !c.Exists:
		j.add(CheckControl, missing, Seen, "There is no control socket at "+at+".", "Without it nobody can say whether a phone trusts this computer.", start)
	default:
		j.add(CheckControl, missing, Seen, "Nobody answers on "+at+".", "The daemon has ended and left its socket behind, or hangs.",
			"Restart it: \"systemctl restart usbmuxd\".")
	}
}

// early is before any version of this program: a clock that shows less was never
// set.
var early = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// drift is how far a record's time may lie ahead of the clock.
const drift = 5 * time.Minute

func (j *judge) clock() {
	const means = "Certificates that pair phone and computer look as if they were from the future, so phones refuse them; and how long a record was unused cannot be told."
	const do = "Set the clock: \"timedatectl set-ntp true\", or replace the battery of the clock if it forgets."
	newest := j.f.Records.Newest
	if d := j.f.Daemon; d != nil {
		for _, r := range d.Records {
			if r.Saved.After(newest) {
				newest = r.Saved
			}
		}
	}
	now := j.f.Now
	shown := now.UTC().Format("2006-01-02 15:04 MST")
	switch {
	case now.Before(early):
		j.add(CheckClock, Problem, Seen, "The clock says "+shown+".", means, do)
	case newest.After(now.Add(drift)):
		j.add(CheckClock, Problem, Inferred, fmt.Sprintf("The clock says %s, but a pair record was saved at %s.", shown, newest.UTC().Format("2006-01-02 15:04")), means, do)
	default:
		j.add(CheckClock, OK, Inferred, "The clock says "+shown+".", "", "")
	}
}
