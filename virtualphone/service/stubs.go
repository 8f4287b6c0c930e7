package service

import (
	"context"
	"fmt"
	"net"
	"time"
)

// FS is the in-memory file system of the phone's media partition.
type FS struct{}

// NewFS returns a file system with sample content.
func NewFS() *FS { return &FS{} }

// AFC serves fs.
func AFC(fs *FS) Handler { return Discard() }

// Notifications passes named events from the phone to hosts and back.
type Notifications struct{}

// NewNotifications returns a notification centre without observers.
func NewNotifications() *Notifications { return &Notifications{} }

// Post sends a notification to every host that observes name.
func (n *Notifications) Post(name string) {}

// Proxy serves the notification proxy.
func (n *Notifications) Proxy(secure bool) Handler { return Discard() }

// Syslog is the phone's system log.
type Syslog struct{}

// NewSyslog returns an empty log.
func NewSyslog() *Syslog { return &Syslog{} }

// Logf adds a line.
func (s *Syslog) Logf(process, format string, args ...any) { _ = fmt.Sprintf(format, args...) }

// Relay serves the log.
func (s *Syslog) Relay() Handler { return Discard() }

// Heartbeat serves com.apple.mobile.heartbeat.
func Heartbeat(interval time.Duration) Handler { return Discard() }

// Diagnostics serves com.apple.mobile.diagnostics_relay.
func Diagnostics(info func() map[string]any, action func(name string)) Handler {
	return func(ctx context.Context, c net.Conn) { defer bind(ctx, c)() }
}
