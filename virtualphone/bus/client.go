package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"gomuxd/virtualphone"
)

// Watch calls fn for all that is plugged into the bus at path, for the end of
// that, and for what follows, one at a time. It returns fn's error, nil when ctx
// ends, or why there is no bus any more.
func Watch(ctx context.Context, path string, fn func(Event) error) error {
	c, err := dial(ctx, path, request{Watch: true})
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for in := json.NewDecoder(bufio.NewReader(c)); ; {
		var ev Event
		err := in.Decode(&ev)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the virtual phones at %s have ended", path)
		case err != nil:
			return fmt.Errorf("virtual phones at %s: %w", path, err)
		}
		if err := fn(ev); err != nil {
			return err
		}
	}
}

// Claim takes the usbmux interface of the phone that ev says is plugged in, which
// ends a claim before. Read and Write are as those of Cable.Pipe; after an unplug
// both fail.
func Claim(ctx context.Context, path string, ev Event) (io.ReadWriteCloser, error) {
	c, err := dial(ctx, path, request{Claim: ev.Serial, Plug: ev.Plug})
	if err != nil {
		return nil, err
	}
	return &pipe{c}, nil
}

// Reset resets the USB device that is the phone which ev says is plugged in. Its claim
// ends.
func Reset(ctx context.Context, path string, ev Event) error {
	c, err := dial(ctx, path, request{Reset: ev.Serial, Plug: ev.Plug})
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	answer, err := bufio.NewReader(c).ReadString('\n')
	switch {
	case err != nil:
		return fmt.Errorf("virtual phones at %s: %w", path, err)
	case answer != "\n":
		return virtualphone.ErrUnplugged
	}
	return nil
}

func dial(ctx context.Context, path string, m request) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("virtual phones: %w", err)
	}
	if err := json.NewEncoder(c).Encode(m); err != nil {
		c.Close()
		return nil, fmt.Errorf("virtual phones at %s: %w", path, err)
	}
	return c, nil
}

// pipe is the host's end of a claim.
type pipe struct{ net.Conn }

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = virtualphone.ErrUnplugged
	}
	return n, err
}

// Write implements io.Writer: b is one mux packet.
func (p *pipe) Write(b []byte) (int, error) {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	n, err := (&net.Buffers{size, b}).WriteTo(p.Conn)
	return max(0, int(n)-len(size)), err
}
