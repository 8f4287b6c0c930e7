package socket

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Records stores pair records and this host's BUID. Save and Read must not keep
// or change data after they return. The methods are called from many goroutines.
type Records interface {
	Read(id string) ([]byte, error)
	Save(id string, data []byte) error
	Delete(id string) error
	BUID() (string, error)
}

// Config configures a Server. A limit that is zero or negative is the default
// named beside it.
type Config struct {
	// Log gets drops, refusals and accept trouble. nil discards.
	Log *zap.Logger

	// Records serves the pair-record requests. With nil there are no records
	// and none can be saved.
	Records Records

	// Errno turns an error of Records into the Number of a Result, an errno. It
	// is not called with nil. The default looks for a syscall.Errno and the
	// errors of io/fs.
	Errno func(error) int

	HandshakeTimeout time.Duration // for a TLS client to show its certificate: 10 s

	ReplyTimeout  time.Duration // for a client to take a reply before it is dropped: 10 s
	RecordTimeout time.Duration // for Records to answer: 2 s
	HalfClosed    time.Duration // without data from the device after a TCP client's FIN: 60 s
	FlushTimeout  time.Duration // without the device taking anything of what a vanished client sent: 1 s

	ListenerEvents int // events waiting for a listener that does not read: 1024
	ListenerBytes  int // bytes of the same: 1 MiB
	RecordCalls    int // calls of Records at the same time: 16
	Clients        int // clients at the same time: 8192
	UserClients    int // of one user, root excepted, or of the network: 2048
	Large          int // connections with large buffers: 1024
	UserLarge      int // of one user, root's too: 512
	Handshakes     int // of TLS clients at the same time: 256
}

// validate replaces every unset field by its default.
func (c *Config) validate() {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Records == nil {
		c.Records = noRecords{}
	}
	if c.Errno == nil {
		c.Errno = errnoOf
	}
	c.HandshakeTimeout = positive(c.HandshakeTimeout, 10*time.Second)
	c.ReplyTimeout = positive(c.ReplyTimeout, 10*time.Second)
	c.RecordTimeout = positive(c.RecordTimeout, 2*time.Second)
	c.HalfClosed = positive(c.HalfClosed, 60*time.Second)
	c.FlushTimeout = positive(c.FlushTimeout, time.Second)
	c.ListenerEvents = positive(c.ListenerEvents, 1024)
	c.ListenerBytes = positive(c.ListenerBytes, 1<<20)
	c.RecordCalls = positive(c.RecordCalls, 16)
	c.Clients = positive(c.Clients, 8192)
	c.UserClients = positive(c.UserClients, 2048)
	c.Large = positive(c.Large, 1024)
	c.UserLarge = positive(c.UserLarge, 512)
	c.Handshakes = positive(c.Handshakes, 256)
}

func positive[T time.Duration | int](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// errnoOf is the default of Config.Errno. What has no number of its own is
// ENOENT, usbmuxd's answer for a record that can be neither read nor written.
func errnoOf(err error) int {
	var number syscall.Errno
	switch {
	case errors.As(err, &number):
		return int(number)
	case errors.Is(err, fs.ErrPermission):
		return int(syscall.EACCES)
	case errors.Is(err, fs.ErrInvalid):
		return int(syscall.EINVAL)
	}
	return int(syscall.ENOENT)
}

// noRecords is the store of a server without one.
type noRecords struct{}

func (noRecords) Read(string) ([]byte, error) { return nil, fs.ErrNotExist }
func (noRecords) Save(string, []byte) error   { return fs.ErrPermission }
func (noRecords) Delete(string) error         { return fs.ErrNotExist }
func (noRecords) BUID() (string, error)       { return "", fs.ErrNotExist }
