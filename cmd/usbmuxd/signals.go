package main

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// exitWait is how long the wish to exit without phones is remembered: whoever
// has seen the last one go may have been faster than we.
const exitWait = 3 * time.Second

// exitWish is somebody's wish, by SIGUSR1, that the daemon exit if no phone is
// plugged in.
type exitWish struct{ until <-chan time.Time } // nil: there is none

// signalled acts on a signal, and reports whether the daemon is to exit.
func (d *muxd) signalled(sig os.Signal) (exit bool) {
	s := d.settings.Load()
	switch sig {
	case syscall.SIGHUP:
		d.reload()
	case syscall.SIGUSR1:
		if !s.EnableExit {
			d.log.Info("asked to exit, ignored: started without --enable-exit")
			return false
		}
		d.wish.until = time.After(exitWait)
		d.monitor.Rescan()
		return d.granted()
	case syscall.SIGUSR2:
		if !s.EnableExit && s.USB.Hotplug {
			d.log.Info("asked to look for phones, ignored: started without --enable-exit and --disable-hotplug")
			return false
		}
		d.log.Info("asked to look for phones")
		d.monitor.Rescan()
	}
	return false
}

// granted reports whether the daemon was asked to exit, and can.
func (d *muxd) granted() bool {
	if d.wish.until == nil || !d.scanned || d.plugged() > 0 {
		return false
	}
	d.log.Info("exiting, as asked: no phone is plugged in")
	return true
}

// refused forgets the wish to exit.
func (d *muxd) refused() {
	d.wish.until = nil
	d.log.Info("not exiting, as asked: phones are plugged in", zap.Int("devices", d.plugged()))
}

// plugged counts the phones that are plugged in.
func (d *muxd) plugged() (n int) {
	for _, dev := range d.devices {
		if dev.plugged {
			n++
		}
	}
	return n
}

// reloadable are the keys of the configuration file whose values may change
// while the daemon runs.
var reloadable = []string{"enable_exit", "log.level", "usb.mode", "usb.allow", "usb.deny", "trust.policy", "recovery.resets", "recovery.stuck", "recovery.silent", "access.profile", "access.rule", "tls.certificate", "tls.key", "tls.clients", "device"}

// reload reads the configuration file again. What can change does, what cannot
// is told. A file that makes no sense changes nothing.
func (d *muxd) reload() {
	notifySystemd(d.log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	defer notifySystemd(d.log, daemon.SdNotifyReady)
	before := d.settings.Load()
	read, err := d.opts.settings()
	if err == nil {
		err = d.setCredentials(&read)
	}
	if err != nil {
		d.log.Error("configuration not read again, nothing has changed", zap.Error(err))
		return
	}
	now := *before
	now.EnableExit, now.Log.Level = read.EnableExit, read.Log.Level
	now.USB.Mode, now.USB.Allow, now.USB.Deny = read.USB.Mode, read.USB.Allow, read.USB.Deny
	now.Trust.Policy, now.Device, now.Access = read.Trust.Policy, read.Device, read.Access
	now.TLS, now.Recovery = read.TLS, read.Recovery
	d.apply(&now)
	d.log.Info("configuration read again", zap.String("changed", strings.Join(differences(*before, now), " ")))
	for _, key := range differences(now, read) {
		d.log.Warn("a change of the configuration needs a restart", zap.String("key", key))
	}
}

// apply puts settings into force, as far as they can change.
func (d *muxd) apply(s *settings) {
	d.settings.Store(s)
	d.setLevel(s.Log.Level)
	if err := d.setAccess(s); err != nil {
		d.log.Error("access rules not changed", zap.Error(err)) // they were checked
	}
	if err := d.monitor.SetRules(s.rules()); err != nil {
		d.log.Error("lists of devices not changed", zap.Error(err)) // likewise
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.views {
		v.setPolicy(s)
	}
}
