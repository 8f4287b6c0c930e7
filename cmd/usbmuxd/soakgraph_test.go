//go:build virtualphone

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// graph is what a soak has measured, one value of each line per interval.
type graph struct {
	interval                                  time.Duration
	throughput, goroutines, descriptors, heap []float64
}

func (g *graph) add(bytesPerSecond float64, m measure) {
	g.throughput = append(g.throughput, bytesPerSecond/(1<<20))
	g.goroutines = append(g.goroutines, float64(m.goroutines))
	g.descriptors = append(g.descriptors, float64(m.descriptors))
	g.heap = append(g.heap, mib(m.heap))
}

// Sizes in pixels.
const (
	graphWidth  = 720 // of a panel's area
	graphHeight = 90
	graphLeft   = 56 // for the scale
	graphTop    = 34 // for a panel's title
	graphEdge   = 16
)

// graphStyle is readable on light and dark pages.
const graphStyle = `
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-weight:600}
.scale{fill:#656d76}
.grid{stroke:#d0d7de}
.line{stroke:#0969da;fill:none;stroke-width:1.2}
.rest{stroke:#9a6700;stroke-dasharray:4 3}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.scale{fill:#8d96a0}
.grid{stroke:#30363d}
.line{stroke:#58a6ff}
.rest{stroke:#d29922}
}`

// svg draws the lines above each other, on one scale of time, and what was in use
// when nothing went on before and after.
func (g *graph) svg(lasts time.Duration, before, after measure) string {
	panels := []struct {
		title  string
		values []float64
		rest   []float64
	}{
		{"Verified, MiB/s", g.throughput, nil},
		{"Goroutines", g.goroutines, []float64{float64(before.goroutines), float64(after.goroutines)}},
		{"Descriptors", g.descriptors, []float64{float64(before.descriptors), float64(after.descriptors)}},
		{"Heap, MiB", g.heap, []float64{mib(before.heap), mib(after.heap)}},
	}
	const width, panel = graphLeft + graphWidth + graphEdge, graphTop + graphHeight
	height := len(panels)*panel + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n<style>%s\n</style>\n",
		width, height, width, height, graphStyle)
	for i, p := range panels {
		top := 0.0
		for _, v := range p.values {
			top = max(top, v)
		}
		top = roundUp(top)
		y0 := i*panel + graphTop
		y := func(v float64) float64 { return float64(y0) + graphHeight*(1-v/top) }
		title := p.title
		if p.rest != nil {
			title += fmt.Sprintf("; at rest %.3g before, %.3g after", p.rest[0], p.rest[1])
		}
		fmt.Fprintf(&b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", graphLeft, y0-10, html.EscapeString(title))
		for _, v := range p.rest {
			fmt.Fprintf(&b, `<line class="rest" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", graphLeft, graphLeft+graphWidth, y(v), y(v))
		}
		for _, v := range []float64{0, top / 2, top} {
			fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="scale" x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
				graphLeft, graphLeft+graphWidth, y(v), y(v), graphLeft-6, y(v)+4, v)
		}
		b.WriteString(`<polyline class="line" points="`)
		for n, v := range p.values {
			x := graphLeft + graphWidth*min(float64(n+1)*g.interval.Seconds()/lasts.Seconds(), 1)
			fmt.Fprintf(&b, "%.1f,%.1f ", x, y(v))
		}
		b.WriteString(`"/>` + "\n")
	}
	bottom := len(panels)*panel + 18
	for n := range 5 {
		anchor := "middle"
		if n == 4 {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text class="scale" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n",
			graphLeft+graphWidth*n/4, bottom, anchor, (lasts * time.Duration(n) / 4).Round(time.Second))
	}
	return b.String() + "</svg>\n"
}

// roundUp is the end of a scale that has a round half, too.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 4, 6, 8} {
		if v <= n*step {
			return n * step
		}
	}
	return 10 * step
}
