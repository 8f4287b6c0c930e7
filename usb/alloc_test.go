//go:build !race

package usb

import (
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// loop is a kernel that completes each transfer at once: OUT as it is, IN with a
// segment's worth of bytes.
type loop struct {
	*fakeKernel
	done []*frame
}

func (k *loop) submit(f *frame) unix.Errno {
	f.status, f.actualLength = 0, min(f.bufferLength, 32764)
	if f.in() && len(k.done) > 8 {
		f.actualLength = 0
	}
	if !f.in() {
		f.actualLength = f.bufferLength
	}
	k.done = append(k.done, f)
	return 0
}

func (k *loop) reap() (*frame, unix.Errno) {
	if len(k.done) == 0 {
		return nil, unix.EAGAIN
	}
	f := k.done[0]
	k.done = k.done[:copy(k.done, k.done[1:])]
	if f.in() && f.actualLength == 0 {
		f.actualLength = 36
	}
	return f, 0
}

func (k *loop) discard(*frame) unix.Errno { return unix.EINVAL }

func (k *loop) wait(ready func(uintptr) bool) error {
	for !ready(0) {
	}
	return nil
}

func newLoop(t testing.TB) *Pipe {
	t.Helper()
	k := &loop{fakeKernel: newFakeKernel(t), done: make([]*frame, 0, 64)}
	p, err := newPipe(k, testEndpoints, normal, pipeConfig{log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAllocs(t *testing.T) {
	p := newLoop(t)
	in, out := make([]byte, 64<<10), make([]byte, 48<<10)
	got := testing.AllocsPerRun(1000, func() {
		if _, err := p.Write(out); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := p.Read(in); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got != 0 {
		t.Errorf("%v allocations per round, want 0", got)
	}
	got = testing.AllocsPerRun(1000, func() {
		copy(p.Lend(), out)
		if err := p.Submit(len(out)); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := p.Next(); err != nil {
				t.Fatal(err)
			}
			p.Return()
		}
	})
	if got != 0 {
		t.Errorf("%v allocations per round of lending, want 0", got)
	}
}

func BenchmarkPipe(b *testing.B) {
	b.Run("read", func(b *testing.B) {
		p := newLoop(b)
		in := make([]byte, 64<<10)
		b.SetBytes(32764)
		b.ReportAllocs()
		for b.Loop() {
			p.Read(in)
		}
	})
	b.Run("next", func(b *testing.B) {
		p := newLoop(b)
		b.SetBytes(32764)
		b.ReportAllocs()
		for b.Loop() {
			p.Next()
			p.Return()
		}
	})
	b.Run("write", func(b *testing.B) {
		p := newLoop(b)
		in, out := make([]byte, 64<<10), make([]byte, 48<<10)
		b.SetBytes(int64(len(out)))
		b.ReportAllocs()
		for b.Loop() {
			p.Write(out)
			for range 5 { // collects
				p.Read(in)
			}
		}
	})
}
