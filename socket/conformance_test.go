package socket

import "testing"

func TestConformance(t *testing.T) {
	t.Run("Plist Listen", func(t *testing.T) {
		r := newRig(t)
		id := r.attach(newFakeDevice())
		h := r.dial()
		h.listen(5)
		h.event("Attached", id)
	})
	t.Run("Connect ok", func(t *testing.T) {
		r := newRig(t)
		d := newFakeDevice()
		id := r.attach(d)
		h := r.dial()
		h.write(append(askConnect(3, id, 62078), "early"...))
		h.result(3, 0)
		p := d.phone(t)
		if got := p.recv(t, 5); string(got) != "early" {
			t.Fatalf("the phone got %q", got)
		}
		p.send([]byte("hello"))
		h.bytes("68656c6c6f")
		h.Close()
		p.awaitClosed(t)
	})
}
