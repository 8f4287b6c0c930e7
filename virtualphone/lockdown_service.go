package virtualphone

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
)

// Services by the names lockdownd starts them under.
const (
	ServiceAFC                  = "com.apple.afc"
	ServiceNotifications        = "com.apple.mobile.notification_proxy"
	ServiceInsecureNotification = "com.apple.mobile.insecure_notification_proxy"
	ServiceSyslog               = "com.apple.syslog_relay"
	ServiceHeartbeat            = "com.apple.mobile.heartbeat"
	ServiceDiagnostics          = "com.apple.mobile.diagnostics_relay"
	ServiceDiagnosticsOld       = "com.apple.iosdiagnostics.relay"
	ServiceBackup               = "com.apple.mobilebackup2"
	ServiceInstallation         = "com.apple.mobile.installation_proxy"
	ServiceSpringBoard          = "com.apple.springboardservices"
	ServiceEcho                 = "com.gomuxd.echo" // no phone has it: TLS over a plain echo
)

// offered is a service lockdownd can start.
type offered struct {
	handler Handler
	open    bool // without a session and without TLS, too
}

// HandleService makes lockdownd offer a service by name; nil takes it away.
func (p *Phone) HandleService(name string, h Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h == nil {
		delete(p.services, name)
		return
	}
	p.services[name] = offered{handler: h}
}

func (p *Phone) registerServices() {
	diagnostics := service.Diagnostics(p.gestalt, p.diagnosticsAction)
	p.services = map[string]offered{
		ServiceAFC:                  {handler: service.AFC(p.fs)},
		ServiceNotifications:        {handler: p.notifications.Proxy(true)},
		ServiceInsecureNotification: {handler: p.notifications.Proxy(false), open: true},
		ServiceSyslog:               {handler: p.syslog.Relay()},
		ServiceHeartbeat:            {handler: service.Heartbeat(p.cfg.HeartbeatInterval)},
		ServiceDiagnostics:          {handler: diagnostics},
		ServiceDiagnosticsOld:       {handler: diagnostics},
		ServiceBackup:               {handler: p.backup.Serve},
		ServiceInstallation:         {handler: service.Installation(service.SampleApps)},
		ServiceSpringBoard:          {handler: service.SpringBoard(service.SampleApps)},
		ServiceEcho:                 {handler: service.Echo()},
	}
}

// startService gives the service a port of its own for one connection.
func (d *dialogue) startService(m *request) (answer, error) {
	p := d.p
	if m.Service == "" {
		return nil, errMissingService
	}
	p.mu.Lock()
	s, ok := p.services[m.Service]
	sinceBoot := p.sinceBoot
	p.mu.Unlock()
	switch {
	case !ok:
		return nil, errInvalidService
	case sinceBoot:
		return nil, errPasswordProtected
	case d.host == nil && !s.open:
		return nil, errSessionInactive
	}
	p.stats.services.Add(1)
	a := answer{"Service": m.Service}
	h := s.handler
	if d.host != nil && !s.open && p.cfg.iOS() >= 5 {
		a["EnableServiceSSL"] = true
		h = p.overTLS(d.host, h)
	}
	a["Port"] = uint64(p.listenOnce(h))
	return a, nil
}

// handshakeTime is how long a service waits for the host's TLS handshake.
const handshakeTime = 30 * time.Second

// overTLS runs h over TLS with host, the phone being the server.
func (p *Phone) overTLS(with *host, h Handler) Handler {
	return func(ctx context.Context, c net.Conn) {
		if p.tlsRefusal() == AbortTLS {
			_, _ = c.Read(make([]byte, 1)) // of the hello
			return
		}
		secure := tls.Server(c, p.tlsConfig(with))
		hctx, cancel := context.WithTimeout(ctx, handshakeTime)
		err := secure.HandshakeContext(hctx)
		cancel()
		if err != nil {
			p.log.Debug("service handshake", zap.Error(err))
			return
		}
		h(ctx, secure)
	}
}

// gestalt is what the diagnostics relay reads, by MobileGestalt key.
func (p *Phone) gestalt() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := make(map[string]any, len(p.values[""]))
	for key, value := range p.values[""] {
		v[key] = value
	}
	return v
}

// diagnosticsAction does what a host asked the diagnostics relay for.
func (p *Phone) diagnosticsAction(name string) {
	switch name {
	case "Restart":
		if err := p.Reboot(); err != nil {
			p.log.Info("reboot ordered by the host", zap.Error(err))
		}
	case "Shutdown":
		p.Unplug()
	case "Sleep":
		_ = p.Lock() // a phone without a passcode just goes dark
	}
}

// Logf adds a line to the system log, as process.
func (p *Phone) Logf(process, format string, args ...any) { p.syslog.Logf(process, format, args...) }

// PostNotification tells hosts that observe name.
func (p *Phone) PostNotification(name string) { p.notifications.Post(name) }

// FS is the file system behind com.apple.afc.
func (p *Phone) FS() *service.FS { return p.fs }
