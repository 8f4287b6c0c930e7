package mux

import (
	"testing"

	"gomuxd/mux/muxtest"
)

// announced is a lender that knows how many transfers are still to come.
type announced struct {
	*muxtest.Lender
	left int
}

func (a *announced) Return() bool {
	a.Lender.Return()
	a.left--
	return a.left > 0
}

// What is there already is acknowledged at once, but not for ever.
func TestOneAckForSeveralSegments(t *testing.T) {
	var pipe *announced
	playOver(t, func() (Pipe, *muxtest.Phone) {
		lender, phone := muxtest.LendingPipe(4)
		pipe = &announced{Lender: lender}
		return pipe, phone
	}, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.CloseRead() // all counts as taken
		pipe.left = maxBatch + 2
		for i := range uint32(maxBatch + 2) {
			b.sendSegment(62078, 1, 1+5*i, 1, flagACK, window, "hello")
		}
		b.wantSegment(1, 62078, 1, 1+5*maxBatch, flagACK)
		b.wantSegment(1, 62078, 1, 1+5*(maxBatch+2), flagACK)
		c.Close()
		b.wantSegment(1, 62078, 1, 1+5*(maxBatch+2), flagRST) // and no ack before it
	})
}
