package service

import (
	"context"
	"io"
	"net"
	"sync"
)

// syslogBatch is about how many bytes of lines the relay sends in one Write; it may
// be exceeded by one line.
const syslogBatch = 16 << 10

// Relay serves com.apple.syslog_relay: the lines that the phone still has, then each
// as it comes, all ended by a line feed and a NUL. A host that reads too slowly loses
// lines and is told how many. What the host sends is ignored.
//
// Source: the syslog_relay.h API page of libimobiledevice and what idevicesyslog
// prints.
func (s *Syslog) Relay() Handler {
	return func(ctx context.Context, c net.Conn) {
		var reader sync.WaitGroup
		defer reader.Wait() // after release has closed c
		defer bind(ctx, c)()

		gone := make(chan struct{})
		reader.Go(func() {
			defer close(gone)
			// However it ends, the host is gone.
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256))
		})
		var buf []byte
		var cursor uint64
		for {
			var more <-chan struct{}
			buf, cursor, more = s.since(cursor, buf[:0], syslogBatch)
			if more != nil {
				buf = nil // an idle connection holds no buffer
				select {
				case <-more:
				case <-gone:
					return
				}
				continue
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
}
