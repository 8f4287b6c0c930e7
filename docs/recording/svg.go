package main

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sizes, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 19
	fontSize   = 14
	padding    = 16
	bar        = 34 // above the terminal
	baseline   = 14 // of a row, from its top
)

// style reads well on a light page and on a dark one. What moves is added; where
// nothing moves, the last screen stands still.
const style = `text{font:%dpx ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;fill:#d5dbe3}` +
	`.b{font-weight:700;fill:#fff}.d{fill:#8b949e}.r{fill:#ff7b72}.g{fill:#56d364}.y{fill:#e3b341}.c{fill:#79c0ff}` +
	`.t{font-family:system-ui,"Segoe UI",Helvetica,Arial,sans-serif;font-size:13px;fill:#8b949e}` +
	`.h{visibility:hidden}`

// draw writes a movie as an SVG.
func draw(m movie, title string) []byte {
	width := number(float64(m.cols)*cellWidth + 2*padding)
	height := bar + m.rows*cellHeight + padding
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%d" viewBox="0 0 %[1]s %[2]d" role="img">`, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>", escape(title))
	fmt.Fprintf(&b, style, fontSize)

	// Takes with the same times share a class: a screen goes as a whole.
	type span struct{ begin, end time.Duration }
	spans := make(map[span][]take)
	for _, t := range m.takes {
		s := span{t.begin, t.end}
		spans[s] = append(spans[s], t)
	}
	order := make([]span, 0, len(spans))
	for s := range spans {
		order = append(order, s)
	}
	slices.SortFunc(order, func(a, b span) int { return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end)) })

	percent := func(d time.Duration) string { return number(100*float64(d)/float64(m.length)) + "%" }
	b.WriteString("@media (prefers-reduced-motion:no-preference){")
	for i, s := range order {
		fmt.Fprintf(&b, "\n.s%d{animation:s%[1]d %ss step-end infinite}@keyframes s%[1]d{", i, number(m.length.Seconds()))
		if s.begin > 0 {
			b.WriteString("0%{visibility:hidden}")
		}
		fmt.Fprintf(&b, "%s{visibility:visible}", percent(s.begin))
		if s.end < m.length {
			fmt.Fprintf(&b, "%s{visibility:hidden}", percent(s.end))
		}
		b.WriteString("}")
	}
	fmt.Fprintf(&b, "\n.p{transform-origin:8px 0;animation:p %ss linear infinite}@keyframes p{0%%{transform:scaleX(0)}100%%{transform:scaleX(1)}}}</style>\n", number(m.length.Seconds()))

	fmt.Fprintf(&b, `<rect x=".5" y=".5" width="%s" height="%d" rx="8" fill="#0d1117" stroke="#3d444d"/>`, number(float64(m.cols)*cellWidth+2*padding-1), height-1)
	for i, color := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="5" fill="%s"/>`, padding+4+i*17, bar/2, color)
	}
	fmt.Fprintf(&b, `<text class="t" x="50%%" y="%d" text-anchor="middle">%s</text>`, bar/2+5, escape(title))
	fmt.Fprintf(&b, `<rect class="p" x="8" y="%d" width="%s" height="2" fill="#3d444d"/>`+"\n", height-5, number(float64(m.cols)*cellWidth+2*padding-16))

	for i, s := range order {
		hidden := ""
		if s.end < m.length {
			hidden = "h "
		}
		fmt.Fprintf(&b, `<g class="%ss%d">`, hidden, i)
		for _, t := range spans[s] {
			for _, r := range t.pieces {
				class := ""
				if r.class != "" {
					class = ` class="` + r.class + `"`
				}
				fmt.Fprintf(&b, `<text x="%s" y="%d" textLength="%s"%s>%s</text>`, number(padding+float64(r.col)*cellWidth),
					bar+t.row*cellHeight+baseline, number(float64(r.cells)*cellWidth), class, escape(r.text))
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// number is short.
func number(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0"), ".")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}
