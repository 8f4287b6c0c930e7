package socket

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// requests are one of each kind, to the device with the id.
func requests(t testing.TB, id uint32) map[string][]byte {
	t.Helper()
	record := str("PairRecordID", udid24)
	return map[string][]byte{
		"Listen":           ask(1, "Listen"),
		"ListDevices":      ask(1, "ListDevices"),
		"ListListeners":    ask(1, "ListListeners"),
		"ReadBUID":         ask(1, "ReadBUID"),
		"ReadPairRecord":   ask(1, "ReadPairRecord", record),
		"SavePairRecord":   ask(1, "SavePairRecord", record, data("PairRecordData", document(recordXML))),
		"DeletePairRecord": ask(1, "DeletePairRecord", record),
		"Connect":          askConnect(1, id, 62078),
		"binary Listen":    unhex(t, "10000000 00000000 03000000 01000000"),
		"binary Connect":   append(unhex(t, "18000000 00000000 02000000 01000000"), append(word(id), unhex(t, "F27E 0000")...)...),
	}
}

// A client that sends a byte a second gets its answer after the last one, and what
// it says to a device arrives byte by byte; nobody else waits.
func TestByteASecond(t *testing.T) {
	for name, request := range requests(t, 1) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := NewRegistry()
				d := newFakeDevice()
				if _, err := reg.Attach(usbInfo(), d); err != nil {
					t.Fatal(err)
				}
				srv := NewServer(reg, Config{Records: newMemRecords()})
				defer srv.Close()
				join := func() net.Conn {
					mine, theirs := net.Pipe()
					srv.start(theirs, nil)
					return mine
				}
				slow, other := join(), &host{t, join()}
				defer slow.Close()
				defer other.Close()
				answer := make(chan reply, 1)
				go func() {
					m, err := readReply(slow)
					if err != nil {
						t.Error(err)
					}
					answer <- m
				}()
				for i, b := range request {
					time.Sleep(time.Second)
					select {
					case m := <-answer:
						t.Fatalf("answered after %d of %d bytes: %+v", i, len(request), m)
					default:
					}
					if i == len(request)/2 {
						start := time.Now()
						other.write(ask(2, "ReadBUID"))
						if m, err := readReply(other); err != nil || m.tag != 2 || time.Since(start) != 0 {
							t.Fatalf("another client: %+v, %v after %v", m.header, err, time.Since(start))
						}
					}
					if _, err := slow.Write([]byte{b}); err != nil {
						t.Fatalf("byte %d: %v", i, err)
					}
				}
				<-answer
				if name != "Connect" && name != "binary Connect" {
					return
				}
				p := d.phone(t)
				for i := range 100 {
					time.Sleep(time.Second)
					if _, err := slow.Write([]byte{byte(i)}); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					p.mu.Lock()
					up := bytes.Clone(p.up)
					p.mu.Unlock()
					if len(up) != i+1 || up[i] != byte(i) {
						t.Fatalf("the phone has % x after %d bytes", up, i+1)
					}
				}
			})
		})
	}
}

// A client that leaves in the middle of a message, wherever that is, has asked for
// nothing.
func TestLeavesInMessage(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	if err := r.records.Save(udid24, []byte("as it was")); err != nil {
		t.Fatal(err)
	}
	l := r.dial()
	l.listen(1)
	l.event("Attached", id)
	var wg sync.WaitGroup
	for name, request := range requests(t, id) {
		wg.Go(func() {
			for cut := range request {
				c, err := net.Dial("unix", r.path)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				if _, err := c.Write(request[:cut]); err != nil {
					t.Errorf("%s, %d bytes: %v", name, cut, err)
				}
				// Half of them shut down and look whether there is an answer.
				if cut%2 == 0 {
					_ = c.(*net.UnixConn).CloseWrite()
					if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
						t.Errorf("%s, %d of %d bytes: got % x, %v; want EOF", name, cut, len(request), b, err)
					}
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	r.dial().sync()
	if got, err := r.records.Read(udid24); err != nil || string(got) != "as it was" {
		t.Errorf("the record became %q, %v", got, err)
	}
	if n := len(d.conns); n != 0 {
		t.Errorf("the device was dialled %d times", n)
	}
	r.reg.Detach(id)
	l.event("Detached", id)
}

// noise is 64 KiB of nonsense.
func noise(seed uint64) []byte {
	b := make([]byte, 64<<10)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = random.Read(b)
	return b
}

// Noise, bare or behind the header of a message, gets a client a Result at most and
// does no harm to others; behind a Connect it is the device's, byte for byte.
func TestNoise(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	other := r.dial()
	seed := rand.Uint64N(1 << 16)
	for n := range uint64(100) {
		b := noise(seed + n)
		switch n % 3 {
		case 0: // as it is
		case 1: // as a property list
			b = append(header{length: maxMessage, version: versionPlist, message: msgPlist, tag: 1}.append(nil), b[:maxMessage-headerSize]...)
		case 2: // as a binary message of any kind but Listen, which may stay half-closed
			if b[0] == msgListen {
				b[0]++
			}
			b = append(header{length: maxMessage, message: uint32(b[0]), tag: 1}.append(nil), b[:maxMessage-headerSize]...)
		}
		h := r.dial()
		_, err := h.Write(b)
		if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("seed %d: %v", seed+n, err)
		}
		_ = h.Conn.(*net.UnixConn).CloseWrite() // it may be gone
		got, err := io.ReadAll(h)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) || len(got) > 1024 {
			t.Errorf("seed %d: %d bytes in answer, %v", seed+n, len(got), err)
		}
		if n%3 == 1 && len(got) == 0 {
			t.Errorf("seed %d: a whole message, and no answer", seed+n)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("seed %d: neither an answer nor an end", seed+n)
		}
		other.sync()
	}
	h := r.dial()
	p := h.connect(d, id, 62078)
	b := noise(seed)
	h.write(b)
	if got := p.recv(t, len(b)); !bytes.Equal(got, b) {
		t.Error("the noise arrived changed")
	}
	p.send(b)
	got := make([]byte, len(b))
	if _, err := io.ReadFull(h, got); err != nil || !bytes.Equal(got, b) {
		t.Errorf("the noise came back changed, %v", err)
	}
}
