package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a plot of bars: panels side by side on one scale, groups of bars in
// each, a bar per daemon.
type chart struct {
	title, unit string
	panels      []panel
}

type panel struct {
	title  string
	groups []group
}

type group struct {
	label string
	bars  []bar
}

type bar struct {
	daemon string
	figure
}

// Sizes in pixels.
const (
	plotHeight = 240 // of the bars' area
	plotLeft   = 56  // for the scale
	plotTop    = 64  // for title and legend
	plotBottom = 48  // for labels
	barWidth   = 16
	groupGap   = 18
	panelGap   = 30
)

// plotStyle is readable on light and dark pages.
const plotStyle = `
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}
.scale{fill:#656d76}
.grid{stroke:#d0d7de}
.spread{stroke:#24292f;stroke-width:1.5}
.c{fill:#9a6700}.base{fill:#8250df}.ours{fill:#0969da}.null{fill:#afb8c1}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.scale{fill:#8d96a0}
.grid{stroke:#30363d}
.spread{stroke:#e6edf3}
.c{fill:#d29922}.base{fill:#a371f7}.ours{fill:#58a6ff}.null{fill:#484f58}
}`

// svg draws the chart. Bars are medians, lines the range of all rounds.
func (c *chart) svg() string {
	top := 0.0
	series := map[string]bool{}
	for _, p := range c.panels {
		for _, g := range p.groups {
			for _, b := range g.bars {
				top = max(top, b.high)
				series[b.daemon] = true
			}
		}
	}
	step := scaleStep(top)
	top = step * math.Ceil(max(top, step)/step)
	y := func(v float64) float64 { return plotTop + plotHeight*(1-max(0, v)/top) }

	var body strings.Builder
	x := float64(plotLeft)
	for _, p := range c.panels {
		left := x
		for _, g := range p.groups {
			x += groupGap / 2
			begin := x
			for _, b := range g.bars {
				fmt.Fprintf(&body, `<rect class="%s" x="%.0f" y="%.1f" width="%d" height="%.1f"><title>%s: %s %s</title></rect>`+"\n",
					b.daemon, x, y(b.median), barWidth-2, y(0)-y(b.median), title(b.daemon), html.EscapeString(b.String()), html.EscapeString(c.unit))
				if b.n > 1 {
					middle := x + (barWidth-2)/2
					fmt.Fprintf(&body, `<line class="spread" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`+"\n", middle, middle, y(b.low), y(b.high))
				}
				x += barWidth
			}
			fmt.Fprintf(&body, `<text x="%.0f" y="%d" text-anchor="middle">%s</text>`+"\n", (begin+x)/2, plotTop+plotHeight+16, html.EscapeString(g.label))
			x += groupGap / 2
		}
		fmt.Fprintf(&body, `<text x="%.0f" y="%d" text-anchor="middle">%s</text>`+"\n", (left+x)/2, plotTop+plotHeight+36, html.EscapeString(p.title))
		x += panelGap
	}
	width := max(x-panelGap+16, 360)

	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img">`+"\n<style>%s\n</style>\n",
		width, plotTop+plotHeight+plotBottom, width, plotTop+plotHeight+plotBottom, plotStyle)
	fmt.Fprintf(&out, `<text class="title" x="8" y="20">%s</text>`+"\n", html.EscapeString(c.title+", "+c.unit))
	at := 8.0
	for _, d := range daemons {
		if series[d] {
			fmt.Fprintf(&out, `<rect class="%s" x="%.0f" y="32" width="12" height="12"/><text x="%.0f" y="43">%s</text>`+"\n", d, at, at+17, title(d))
			at += 17 + 8*float64(len(title(d))) + 16
		}
	}
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&out, `<line class="grid" x1="%d" x2="%.0f" y1="%.1f" y2="%.1f"/><text class="scale" x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft, width-16, y(v), y(v), plotLeft-6, y(v)+4, math.Round(v*1000)/1000)
	}
	return out.String() + body.String() + "</svg>\n"
}

// scaleStep is a round number that divides the scale into a few steps.
func scaleStep(top float64) float64 {
	if top <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	switch n := top / step; {
	case n < 2:
		return step / 4
	case n < 5:
		return step / 2
	}
	return step
}

// barsOf are the bars of a key.
func (t table) barsOf(key string) []bar {
	r := &row{keys: []string{key}}
	var all []bar
	for _, d := range daemons {
		if f := t.figure(r, d); f.is() {
			all = append(all, bar{d, f})
		}
	}
	return all
}

// charts are the plots of a speed, by the names of their files.
func (t table) charts() map[string]*chart {
	all := map[string]*chart{
		"throughput": {title: "Throughput, " + t.speed + " speed", unit: "MiB/s"},
		"cpu":        {title: "Daemon's processor time, " + t.speed + " speed", unit: "s/GiB"},
		"latency":    {title: "Latency, " + t.speed + " speed", unit: "ms"},
		"farm":       {title: "Many phones, down, " + t.speed + " speed", unit: "MiB/s"},
	}
	add := func(name, title string, keys map[string]string, order ...string) {
		p := panel{title: title}
		for _, label := range order {
			if bars := t.barsOf(keys[label]); len(bars) > 0 {
				p.groups = append(p.groups, group{label, bars})
			}
		}
		if len(p.groups) > 0 {
			all[name].panels = append(all[name].panels, p)
		}
	}
	for _, way := range []string{"down", "up", "echo"} {
		for name, value := range map[string]string{"throughput": "mibs", "cpu": "cpu"} {
			keys := map[string]string{}
			for _, n := range []string{"1", "8", "64"} {
				keys[n] = way + "." + value + "/" + n
			}
			add(name, way+", by sessions", keys, "1", "8", "64")
		}
	}
	for _, l := range []struct{ title, key string }{
		{"connect", "connect.connect"}, {"connect, busy", "busyconnect.connect"}, {"64 B there and back", "roundtrip.roundtrip"},
	} {
		add("latency", l.title, map[string]string{"p50": l.key + ".p50", "p99": l.key + ".p99"}, "p50", "p99")
	}
	phones := map[string]string{}
	for _, n := range []string{"1", "4", "16", "32"} {
		phones[n] = "farm.mibs/" + n
	}
	add("farm", "phones", phones, "1", "4", "16", "32")
	for name, c := range all {
		if len(c.panels) == 0 {
			delete(all, name)
		}
	}
	return all
}
