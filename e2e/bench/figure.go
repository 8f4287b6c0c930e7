package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gomuxd/e2e/bench/result"
)

// figure is what the rounds have given for one row and daemon.
type figure struct {
	median, low, high float64
	n                 int // values
	failed            int // runs without one
}

func (f figure) is() bool { return f.n > 0 }

// String is "10.3 (9.8–11)", with a word on runs that failed.
func (f figure) String() string {
	var s string
	switch {
	case f.n == 0 && f.failed > 0:
		return "failed"
	case f.n == 0:
		return "–"
	case f.n == 1:
		s = number(f.median)
	default:
		s = fmt.Sprintf("%s (%s–%s)", number(f.median), number(f.low), number(f.high))
	}
	if f.failed > 0 {
		s += fmt.Sprintf(", %d of %d failed", f.failed, f.failed+f.n)
	}
	return s
}

// number has three significant digits at most.
func number(v float64) string {
	digits := 0
	switch a := math.Abs(v); {
	case a < 10:
		digits = 2
	case a < 100:
		digits = 1
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// figureOf sums values up.
func figureOf(values []float64, failed int) figure {
	f := figure{n: len(values), failed: failed}
	if len(values) == 0 {
		return f
	}
	f.median, f.low, f.high = median(values), slices.Min(values), slices.Max(values)
	return f
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// table finds the figures of rows at one speed.
type table struct {
	file  *result.File
	speed string
}

// values are a row's of a daemon: of each round that has one, several if the runs
// took several. failed counts the runs without.
func (t table) values(r *row, daemon string) (byRound map[int][]float64, failed int) {
	byRound = make(map[int][]float64)
	for round := range t.file.Options.Rounds {
		var all [][]float64
		made, broken := false, false
		for _, key := range r.keys {
			measure, value, _ := strings.Cut(key, ".")
			for i := range t.file.Runs {
				run := &t.file.Runs[i]
				if run.Speed != t.speed || run.Measure != measure || run.Daemon != daemon || run.Round != round {
					continue
				}
				made = true
				broken = broken || run.Error != ""
				if v := run.Values[value]; len(v) > 0 {
					all = append(all, v)
				}
			}
		}
		switch {
		case broken:
			failed++
		case made && len(all) == len(r.keys):
			byRound[round] = r.join(all)
		}
	}
	return byRound, failed
}

// join makes one series of those of several keys.
func (r *row) join(all [][]float64) []float64 {
	joined := slices.Clone(all[0])
	for i := range joined {
		for _, other := range all[1:] {
			if r.largest {
				joined[i] = max(joined[i], other[i])
			} else {
				joined[i] += other[i]
			}
		}
		if !r.largest {
			joined[i] /= float64(len(all))
		}
	}
	return joined
}

// figure sums up a row of a daemon.
func (t table) figure(r *row, daemon string) figure {
	byRound, failed := t.values(r, daemon)
	var all []float64
	for _, v := range byRound {
		all = append(all, v...)
	}
	return figureOf(all, failed)
}

// ratio is ours to another's, round by round, so that a machine that drifts
// between rounds does not show in it.
func (t table) ratio(r *row, to string) figure {
	ours, _ := t.values(r, result.Ours)
	theirs, _ := t.values(r, to)
	var all []float64
	for round, v := range ours {
		if w, ok := theirs[round]; ok && median(w) != 0 {
			all = append(all, median(v)/median(w))
		}
	}
	return figureOf(all, 0)
}
