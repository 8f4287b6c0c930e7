package virtualphone

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// ControlRequest is one order to a phone, a line of JSON on the control socket.
type ControlRequest struct {
	Phone   string   `json:"phone,omitempty"` // UDID, with or without hyphen; may be empty with one phone
	Command string   `json:"command"`
	Args    []string `json:"args,omitempty"`
	Timeout string   `json:"timeout,omitempty"` // of "wait", as time.ParseDuration reads it; empty = none
}

// ControlResponse is the answer, also a line of JSON. Error is empty on success.
type ControlResponse struct {
	Error      string            `json:"error,omitempty"`
	State      *State            `json:"state,omitempty"`
	Phones     []State           `json:"phones,omitempty"`
	Stats      *Stats            `json:"stats,omitempty"`
	Violations map[string]uint64 `json:"violations,omitempty"`
	Notes      []string          `json:"notes,omitempty"` // details of violations
}

// maxControlLine bounds a request and a response, in bytes.
const maxControlLine = 64 << 10

// ServeControl answers orders on l, one request and one response a connection,
// until ctx ends, which returns nil, or l fails. phones is asked anew for each
// request. ServeControl closes l and waits for the connections it serves.
func ServeControl(ctx context.Context, l net.Listener, phones func() []*Phone) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("control socket: %w", err)
		}
		wg.Go(func() { serveControlConn(ctx, c, phones) })
	}
}

// controlIdle is how long a client may take to send its request.
const controlIdle = 10 * time.Second

func serveControlConn(ctx context.Context, c net.Conn, phones func() []*Phone) {
	defer c.Close()
	// The client hanging up, or the end of the server, ends a "wait".
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()

	c.SetReadDeadline(time.Now().Add(controlIdle))
	r := bufio.NewReader(io.LimitReader(c, maxControlLine))
	line, err := r.ReadBytes('\n')
	if err != nil {
		return
	}
	c.SetReadDeadline(time.Time{})
	var gone sync.WaitGroup
	gone.Go(func() {
		_, _ = c.Read(make([]byte, 1)) // a client says nothing more: this is its end
		cancel()
	})
	defer gone.Wait()
	defer c.Close()

	var (
		m ControlRequest
		a ControlResponse
	)
	if err := json.Unmarshal(line, &m); err != nil {
		a.Error = fmt.Sprintf("request is not one line of JSON: %v", err)
	} else if a, err = control(ctx, &m, phones()); err != nil {
		a = ControlResponse{Error: err.Error()}
	}
	// An encoding error cannot be, and a client that left wants no answer.
	_ = json.NewEncoder(c).Encode(a)
}

// Control sends one order over the Unix socket at path and returns the answer.
// A refused order is an error with the phone's words.
func Control(ctx context.Context, path string, m ControlRequest) (ControlResponse, error) {
	var a ControlResponse
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return a, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	out, err := json.Marshal(m)
	if err != nil {
		return a, err
	}
	if _, err := c.Write(append(out, '\n')); err != nil {
		return a, err
	}
	line, err := bufio.NewReader(io.LimitReader(c, 16*maxControlLine)).ReadBytes('\n')
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case errors.Is(err, io.EOF):
		return a, errors.New("the phone's program ended without an answer")
	case err != nil:
		return a, err
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("answer is not JSON: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
