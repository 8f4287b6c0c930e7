package control

import (
	"net"
	"time"

	"go.uber.org/zap"
)

// DefaultGroup is the group whose members may act, unless configured.
const DefaultGroup = "usbmux"

// Config configures a Hub and a Server. A limit that is zero or negative is the
// default named beside it.
type Config struct {
	// Words says in plain words why a device is in its state and what a person
	// does next. It is called by Put, without a lock of the Hub held. nil leaves
	// Reason and NextStep as given.
	Words func(Device) (reason, nextStep string)

	// Counters returns a device's open connections and the bytes from and to it
	// since it was plugged in. It is called by Put, Devices, Find and Subscribe,
	// without a lock of the Hub held. nil leaves the numbers as given to Put.
	Counters func(key string) (sessions int, in, out uint64)

	// Log gets the actions of operators, drops and refusals. nil discards.
	Log *zap.Logger

	// Group names the group whose members may act, by name or gid. Empty is
	// DefaultGroup.
	Group string

	// Peer tells who is at the other end of a connection. nil asks the kernel. An
	// error leaves the peer a stranger, who may read the status.
	Peer func(net.Conn) (Peer, error)

	Connections   int           // at the same time: 256; half of them for one uid that is not root
	Streams       int           // of events, at the same time: 64; likewise
	QueueEvents   int           // waiting for a subscriber that does not read: 1024
	HeaderTimeout time.Duration // for a client to send a header, and again for a body: 10 s
	IdleTimeout   time.Duration // between two requests of a connection: 60 s
	WriteTimeout  time.Duration // for a client to take a reply or an event: 10 s
	KeepAlive     time.Duration // between comments in a stream without events: 30 s
}

// validate replaces every unset field of a server by its default.
func (c *Config) validate() {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Group == "" {
		c.Group = DefaultGroup
	}
	if c.Peer == nil {
		c.Peer = kernelPeer
	}
	c.Connections = positive(c.Connections, 256)
	c.Streams = positive(c.Streams, 64)
	c.QueueEvents = positive(c.QueueEvents, 1024)
	c.HeaderTimeout = positive(c.HeaderTimeout, 10*time.Second)
	c.IdleTimeout = positive(c.IdleTimeout, 60*time.Second)
	c.WriteTimeout = positive(c.WriteTimeout, 10*time.Second)
	c.KeepAlive = positive(c.KeepAlive, 30*time.Second)
}

func positive[T time.Duration | int](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
