package service

import (
	"context"
	"net"
)

// Handler serves one connection. It closes the connection before it returns, and
// it returns promptly when ctx ends. The caller owns the goroutine it runs on;
// goroutines a handler starts have ended when it returns.
type Handler = func(ctx context.Context, c net.Conn)

// bind ties c to ctx: c is closed when ctx ends or when the returned function is
// called, whichever comes first. The handler defers that function.
func bind(ctx context.Context, c net.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return func() {
		stop()
		c.Close()
	}
}
