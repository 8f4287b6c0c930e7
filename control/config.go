package control

import (
	"net"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
)

// Config configures a Hub and a Server. A limit that is zero or negative is the
// default named beside it.
type Config struct {
	// Words says in plain words why a device is in its state and what a person
	// does next. It is called by Put, without a lock of the Hub held. nil leaves
	// Reason and NextStep as given.
	Words func(Device) (reason, nextStep string)

	// Counters returns a device's numbers of this moment. It is called by Put,
	// Devices, Find and Subscribe, without a lock of the Hub held. nil leaves them as
	// given to Put.
	Counters func(key string) Counters

	// Log gets the actions of operators, drops and refusals. nil discards.
	Log *zap.Logger

	// Gate says who may see which device, and who may act. nil lets root, the
	// daemon's own user and the group usbmux act, and everyone see.
	Gate *access.Gate

	// Peer tells who is at the other end of a connection. nil asks the kernel.
	Peer func(net.Conn) access.Peer

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
	if c.Gate == nil {
		p, err := access.NewPolicy(nil, "")
		if err != nil {
			panic("control: " + err.Error()) // the default profile is ours
		}
		rules := new(access.Rules)
		rules.Set(p)
		c.Gate = &access.Gate{Rules: rules}
	}
	if c.Peer == nil {
		c.Peer = access.PeerOf
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
