package virtualphone

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
)

// misbehaving are the commands for phones that are not as a host wishes them.
var misbehaving = map[string]order{
	"behavior": {[]string{"NAME", "VALUE"}, func(_ context.Context, p *Phone, args []string) error {
		var err error
		p.editBehavior(func(b *Behavior) { err = b.Set(args[0], args[1]) })
		return err
	}},
	"fail": {[]string{"REQUEST", "ERROR", "[always]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 3 {
			p.FailAlways(args[0], args[1])
		} else {
			p.FailNext(args[0], args[1])
		}
		return nil
	}},
	"silence": {[]string{"REQUEST", "[always]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 2 {
			p.SilenceAlways(args[0])
		} else {
			p.SilenceNext(args[0])
		}
		return nil
	}},
	"garbage": {[]string{"REQUEST", garbageChoice(), "[always]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 3 {
			p.GarbageAlways(args[0], Garbage(args[1]))
		} else {
			p.GarbageNext(args[0], Garbage(args[1]))
		}
		return nil
	}},
	"heal": {[]string{"[REQUEST]"}, func(_ context.Context, p *Phone, args []string) error {
		if len(args) == 0 {
			args = []string{AnyRequest}
		}
		p.Heal(args[0])
		return nil
	}},
	"tls": {[]string{"accept|abort|certificate"}, func(_ context.Context, p *Phone, args []string) error {
		r := TLSRefusal(args[0])
		if args[0] == "accept" {
			r = AcceptTLS
		}
		p.RefuseTLS(r)
		return nil
	}},
	"supervise": {[]string{"PEM|off"}, func(_ context.Context, p *Phone, args []string) error {
		if args[0] == "off" {
			return p.Supervise()
		}
		var certs [][]byte
		for rest := []byte(args[0]); ; {
			var block *pem.Block
			block, rest = pem.Decode(rest)
			if block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				return fmt.Errorf("PEM block %q is no certificate", block.Type)
			}
			certs = append(certs, block.Bytes)
		}
		if len(certs) == 0 {
			return errors.New("no certificate in PEM is given")
		}
		return p.Supervise(certs...)
	}},
}

// garbageChoice is the argument that names a kind.
func garbageChoice() string {
	var s string
	for i, k := range GarbageKinds() {
		if i > 0 {
			s += "|"
		}
		s += string(k)
	}
	return s
}
