package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"gomuxd/socket/address"
	"gomuxd/socket/client"
)

// maxListed is how many devices of a daemon are kept.
const maxListed = 1024

// socket looks at the socket that clients connect to, and at who answers.
func (g *gatherer) socket(ctx context.Context) {
	s := &g.f.Socket
	network, addr, err := address.Parse(g.o.Socket)
	if err != nil {
		s.Path, s.Error = g.o.Socket, err.Error()
		return
	}
	s.Path, s.TCP = addr, network != "unix"
	if !s.TCP {
		s.Node = g.node(addr)
		s.NotSocket = s.Exists && fileType(addr) != fs.ModeSocket
	}
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	c, err := client.Dial(ctx, g.o.Socket)
	if err != nil {
		s.Error = cmp.Or(s.Error, err.Error())
		s.Denied = errors.Is(err, fs.ErrPermission)
		return
	}
	defer c.Close()
	s.Accepts = true
	if peer, ok := c.Peer(); ok && peer.PID > 0 { // 0 is in another namespace
		p := g.process(peer.PID)
		s.Peer = &p
	}
	devices, err := c.ListDevices(ctx)
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.Answers = true
	for _, d := range devices[:min(len(devices), maxListed)] {
		s.Devices = append(s.Devices, d.UDID)
	}
	if !g.f.Records.BUIDFile {
		return // asked, a daemon would make an identity
	}
	if s.BUID, err = c.ReadBUID(ctx); err != nil {
		g.unseen("the identity that the daemon tells", err)
	}
}
