package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Watch calls fn for every device that is plugged in, as added, then for Ready,
// then for every change, in order and one at a time. It returns fn's error, the
// context's, an *Error if the daemon drops a reader that is too slow, or one that
// wraps io.ErrUnexpectedEOF when the daemon goes. Connecting again is left to the
// caller: it begins with all devices once more.
func (c *Client) Watch(ctx context.Context, fn func(Event) error) error {
	resp, err := c.do(ctx, "GET", nil, "events")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var own error
	err = watch(resp.Body, func(e Event) error {
		own = fn(e)
		return own
	})
	if own == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// watch calls fn for every event in a stream. Events of kinds that are not known
// here, as of a later daemon, are passed over.
func watch(r io.Reader, fn func(Event) error) error {
	stream := newMessages(r)
	for {
		m, err := stream.next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("the daemon's events ended: %w", err)
		}
		var e Event
		switch kind := EventType(m.kind); kind {
		case DeviceAdded, DeviceChanged, DeviceRemoved, Ready:
			if err := json.Unmarshal(m.data, &e); err != nil {
				return fmt.Errorf("an event of the daemon: %w", err)
			}
			e.Type = kind
		case streamError:
			cause := &Error{}
			if err := json.Unmarshal(m.data, cause); err != nil {
				return fmt.Errorf("an event of the daemon: %w", err)
			}
			return asError(cause)
		default:
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}
