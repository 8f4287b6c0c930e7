package observer

import "time"

// Step is how long a bin of a Series is, and Bins how many are kept: an hour.
const (
	Step = 15 * time.Second
	Bins = 240
)

// Series is how many bytes went each way in the bins of the last hour. Bins are
// numbered by Step since 1970, so that those of all phones are of the same moments.
type Series struct {
	last    int64 // number of the newest bin, 0 before any
	in, out [Bins]uint64

	recovered time.Time // of the newest recovery that is in the log
}

func binOf(t time.Time) int64 { return t.Unix() / int64(Step/time.Second) }

// add counts bytes into the bin of a moment. What is older than the last hour
// goes.
func (s *Series) add(at time.Time, in, out uint64) {
	s.advance(binOf(at))
	i := s.last % Bins
	s.in[i] += in
	s.out[i] += out
}

func (s *Series) advance(bin int64) {
	for n := max(s.last+1, bin-Bins+1); n <= bin; n++ {
		s.in[n%Bins], s.out[n%Bins] = 0, 0
	}
	s.last = max(s.last, bin)
}

// Points are a Series as a reader gets it, oldest first, up to the bin Last.
// Empty bins at the beginning are left out; a Series of zeros has none.
type Points struct {
	Last int64    `json:"last"`
	In   []uint64 `json:"in"`
	Out  []uint64 `json:"out"`
}

// Points returns the hour that ends at a moment.
func (s *Series) Points(at time.Time) Points {
	p := Points{Last: binOf(at), In: []uint64{}, Out: []uint64{}}
	for n := p.Last - Bins + 1; n <= p.Last; n++ {
		var in, out uint64
		if n <= s.last && n > s.last-Bins {
			in, out = s.in[n%Bins], s.out[n%Bins]
		}
		if len(p.In) > 0 || in > 0 || out > 0 {
			p.In, p.Out = append(p.In, in), append(p.Out, out)
		}
	}
	return p
}

// newest returns the bin that is being filled.
func (s *Series) newest() (bin int64, in, out uint64) {
	return s.last, s.in[s.last%Bins], s.out[s.last%Bins]
}
