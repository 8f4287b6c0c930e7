package virtualphone

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"

	"go.uber.org/zap"

	"gomuxd/virtualphone/service"
)

// lockdownType is the answer to QueryType of a phone in normal mode.
const lockdownType = "com.apple.mobile.lockdown"

// dialogue is one connection to lockdownd. Only its own goroutine touches it.
type dialogue struct {
	p   *Phone
	ctx context.Context

	raw    net.Conn
	plain  *bufio.Reader // of raw; TLS records are taken from it one by one
	secure *tls.Conn     // while a session is on

	session string // SessionID, "" without one
	host    *host  // of the session

	garbageTLS  bool   // the next handshake is answered by nonsense
	challenge   []byte // what a supervisor is to sign
	after       func() // runs when the reply is out
	lastRequest bool   // the dialogue ends after the reply
	failure     error  // of what ran after the reply
}

// lockdownd serves port 62078.
func (p *Phone) lockdownd(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	d := &dialogue{p: p, ctx: ctx, raw: c, plain: bufio.NewReader(c)}
	for !d.lastRequest {
		if err := d.turn(); err != nil {
			p.log.Debug("lockdown dialogue ended", zap.Error(err))
			return
		}
	}
}

// OnRequest has f called with each request that lockdownd reads, on the goroutine
// of its connection: before the request is carried out, when FailNext and the like
// still reach it, and once more, done, before the answer goes out. f may unplug the
// phone, but not Close it. nil ends it.
func (p *Phone) OnRequest(f func(request string, done bool)) {
	if f == nil {
		f = func(string, bool) {}
	}
	p.onRequest.Store(&f)
}

// stream is what requests are read from and replies written to.
func (d *dialogue) stream() (io.Reader, io.Writer) {
	if d.secure != nil {
		return d.secure, d.secure
	}
	return d.plain, d.raw
}

// turn handles one request.
func (d *dialogue) turn() error {
	r, w := d.stream()
	m, binary, err := readRequest(r)
	if err != nil {
		return err
	}
	if m.Request == "Pair" {
		d.p.stats.pairRequests.Add(1)
	}
	told := *d.p.onRequest.Load()
	told(m.Request, false)
	f := d.p.forcedReply(m.Request)
	if f.silent || d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	a, err := d.answer(&m, f)
	told(m.Request, true)
	if a == nil {
		a = answer{}
	}
	a["Request"] = m.Request
	old := d.p.cfg.iOS() < 8 || d.p.inRestoreMode() // later ones leave Result out
	var named lockdownError
	switch {
	case errors.As(err, &named):
		a["Error"] = string(named)
		if old {
			a["Result"] = "Failure"
		}
	case err != nil:
		return err
	case old:
		a["Result"] = "Success"
	}
	if f.garbage != "" {
		err = d.writeGarbage(w, f.garbage, a, binary)
	} else {
		err = service.WritePlist(w, a, binary)
	}
	if err != nil {
		return err
	}
	return d.switchOver()
}

// answer decides. A lockdownError becomes the reply's Error; any other error
// ends the connection.
func (d *dialogue) answer(m *request, f forced) (answer, error) {
	if f.err != "" {
		return nil, f.err
	}
	if d.p.inRestoreMode() {
		return d.restored(m)
	}
	switch m.Request {
	case "QueryType":
		return answer{"Type": lockdownType}, nil
	case "GetValue":
		return d.getValue(m)
	case "SetValue":
		return d.setValue(m)
	case "RemoveValue":
		return d.removeValue(m)
	case "Pair":
		return d.pair(m)
	case "ValidatePair":
		return d.validatePair(m)
	case "Unpair":
		return d.unpair(m)
	case "StartSession":
		return d.startSession(m)
	case "StopSession":
		return d.stopSession(m)
	case "StartService":
		return d.startService(m)
	case "Goodbye":
		d.lastRequest = true
		return nil, nil
	case "EnterRecovery":
		if d.host == nil {
			return nil, errSessionInactive
		}
		d.lastRequest = true
		d.after = d.p.Unplug
		return nil, nil
	}
	return nil, errInvalidRequest
}
