package virtualphone

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
)

// Handler serves one connection to a phone port. The phone runs it on a
// goroutine of its own, ends ctx when the connection or the plug ends, and
// closes the connection after it.
type Handler = func(ctx context.Context, c net.Conn)

// Phone is one virtual iPhone. What it remembers outlives its plugs. All
// methods may be called from several goroutines.
type Phone struct {
	cfg Config
	log *zap.Logger
	wg  sync.WaitGroup // services and orders on their way; Close waits

	plugMu   sync.Mutex // one plug or unplug at a time; guards the next four
	watchers []func(*Cable)
	unplugIn int // of the next cable
	closed   bool
	cable    atomic.Pointer[Cable] // nil while unplugged; written under plugMu

	faults    atomic.Pointer[Faults]
	onRequest atomic.Pointer[func(request string, done bool)] // never nil
	stats     counters

	policeMu   sync.Mutex // guards violations, notes
	violations Violations
	notes      []string

	portsMu sync.Mutex // guards ports
	ports   ports

	key           atomic.Pointer[func() *rsa.PrivateKey] // of the device
	generation    int                                    // how often erased; guarded by mu
	restricted    atomic.Bool                            // refuses connections; written under mu
	notifications *service.Notifications
	syslog        *service.Syslog
	fs            *service.FS
	backup        *service.Backup

	mu          sync.Mutex    // guards all below
	changes     chan struct{} // closed and replaced at every change of State
	behavior    Behavior
	passcode    string
	locked      bool
	sinceBoot   bool // locked and never unlocked since boot
	dialog      Dialog
	asking      asker       // whom the dialog is about
	coming      bool        // a dialog is still to come
	dialogSince time.Time   // when the dialog was asked for, then when it was shown
	dialogTimer *time.Timer // of what the dialog does next by itself
	lastDialog  DialogEnd
	prompted    chan bool // gets the answer to the passcode prompt of a backup; nil without one
	restoring   bool      // in restore mode
	granted     answers   // may pair at the next try
	accepted    answers   // have paired after it; may again, with other keys, in this plugged period
	denied      answers   // refused until the next plug
	rejected    answers   // whose Trust was lost, see Behavior.RejectAnswer
	rejectedTo  time.Time // end of RejectTime
	setup       bool      // shows its first screens
	supervisors []*x509.Certificate
	hosts       map[string]*host // trusted, by HostID
	values      values
	clockSkew   int64 // set by hosts, added to the time, in milliseconds
	services    map[string]offered
	forcedNext  map[string][]forced // by request
	forcedEver  map[string]forced   // by request
	refusal     TLSRefusal

	lockedAt      time.Time   // zero while unlocked
	restrictTimer *time.Timer // of the USB restriction to come
}

// New makes a phone, not plugged in yet. The caller must Close it.
func New(cfg Config) (*Phone, error) {
	cfg.defaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Phone{
		cfg: cfg, log: cfg.Log.With(zap.String("udid", cfg.UDID)),
		notifications: service.NewNotifications(),
		syslog:        service.NewSyslog(),
		fs:            service.NewFS(),
		changes:       make(chan struct{}),
		behavior:      cfg.Behavior,
		passcode:      cfg.Passcode,
		locked:        cfg.Locked,
		sinceBoot:     cfg.Locked,
		dialog:        NoDialog,
		restoring:     cfg.RestoreMode,
		hosts:         make(map[string]*host),
		values:        sampleValues(&cfg),
		forcedNext:    make(map[string][]forced),
		forcedEver:    make(map[string]forced),
	}
	p.setDeviceKey()
	if cfg.Memory != nil {
		if err := p.recall(cfg.Memory); err != nil {
			return nil, err
		}
	}
	if p.inSetupLocked() {
		p.showSetupLocked()
	}
	p.armRestrictionLocked()
	p.faults.Store(&cfg.Faults)
	p.OnRequest(nil)
	p.ports.fixed = make(map[uint16]Handler)
	p.ports.once = make(map[uint16]Handler)
	p.backup = p.newBackup()
	p.registerTestPorts()
	p.registerServices()
	if !cfg.NoLockdown {
		p.HandlePort(LockdownPort, p.lockdownd)
	}
	return p, nil
}

// UDID is the device id as usbmuxd spells it.
func (p *Phone) UDID() string { return p.cfg.UDID }

// Serial is the raw USB serial string: the UDID without its hyphen.
func (p *Phone) Serial() string { return strings.ReplaceAll(p.cfg.UDID, "-", "") }

// Close unplugs the phone for good, ends every service and waits for all.
func (p *Phone) Close() error {
	p.plugMu.Lock()
	p.closed = true
	p.plugMu.Unlock()
	p.Unplug()
	p.mu.Lock()
	if p.restrictTimer != nil {
		p.restrictTimer.Stop()
		p.restrictTimer = nil
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// Plug starts a new plugged period. It fails with ErrPlugged or ErrClosed.
func (p *Phone) Plug() (*Cable, error) {
	p.plugMu.Lock()
	defer p.plugMu.Unlock()
	switch {
	case p.closed:
		return nil, ErrClosed
	case p.cable.Load() != nil:
		return nil, ErrPlugged
	}
	c := newCable(p)
	c.unplugIn, p.unplugIn = p.unplugIn, 0
	p.cable.Store(c)
	p.noteChange()
	for _, w := range p.watchers {
		w(c)
	}
	return c, nil
}

// Unplug ends the plugged period. Without one it does nothing. It does not wait
// for the services, so a service may call it.
func (p *Phone) Unplug() { p.unplug(nil) }

// unplug ends the plugged period if it is c's, or any for nil.
func (p *Phone) unplug(c *Cable) {
	p.plugMu.Lock()
	defer p.plugMu.Unlock()
	old := p.cable.Load()
	if old == nil || c != nil && c != old {
		return
	}
	p.cable.Store(nil)
	old.end()
	p.forgetOncePorts()
	p.pulled()
	for _, w := range p.watchers {
		w(nil)
	}
}

// Notify has f called with the cable after each plug and with nil after each
// unplug, in order, on the goroutine that plugs. f must not plug, unplug or
// Close the phone and must not block.
func (p *Phone) Notify(f func(*Cable)) {
	p.plugMu.Lock()
	defer p.plugMu.Unlock()
	p.watchers = append(p.watchers, f)
}

// Cable is the plugged period in force, nil while unplugged.
func (p *Phone) Cable() *Cable { return p.plugged() }

func (p *Phone) plugged() *Cable { return p.cable.Load() }
