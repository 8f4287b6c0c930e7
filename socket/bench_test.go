package socket

import (
	"fmt"
	"io"
	"testing"
)

func BenchmarkListDevices(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(b)
			for i := range n {
				info := usbInfo()
				info.UDID = fmt.Sprintf("00008110-%016X", i)
				info.Serial = ""
				r.attachInfo(info, newFakeDevice())
			}
			h := r.dial()
			m := ask(1, "ListDevices")
			h.write(m)
			size := int(h.read().length)
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				h.write(m)
				if _, err := io.ReadFull(h, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSocketConnect is a client's whole life: connect to the socket, ask
// for a port, exchange a few bytes, close.
func BenchmarkSocketConnect(b *testing.B) {
	r := newRig(b)
	d := newFakeDevice()
	id := r.attach(d)
	m := append(askConnect(1, id, 62078), "ping"...)
	buf := make([]byte, headerSize+278)
	b.ReportAllocs()
	for b.Loop() {
		h := r.dial()
		h.write(m)
		if _, err := io.ReadFull(h, buf); err != nil {
			b.Fatal(err)
		}
		p := <-d.conns
		p.recv(b, 4)
		h.Close()
		p.awaitClosed(b)
	}
}

func BenchmarkDecodeConnect(b *testing.B) {
	m := askConnect(1, 3, 62078)[headerSize:]
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if r, ok := decodePlistRequest(m); !ok || r.port != 62078 {
			b.Fatal(r)
		}
	}
}

func BenchmarkResult(b *testing.B) {
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendResult(buf[:0], versionPlist, 1, resultOK)
	}
}
