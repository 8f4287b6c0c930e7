package main

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"gomuxd/control/observer"
)

const (
	topHead = 2 // lines above the rows: the sum of all, the heads of the columns
	topFoot = 5 // below: a rule, three of the chosen phone, keys

	topNumbers = 6 + 2*10 // columns of connections and both rates
)

// room is how many rows there is place for.
func (m topModel) room() int { return max(1, m.height-topHead-m.foot()) }

// foot is how many lines are below the rows; a low terminal has the keys alone.
func (m topModel) foot() int {
	if m.height < topHead+topFoot+3 {
		return 1
	}
	return topFoot
}

// topWidths are those of the columns, of which 0 is left out.
type topWidths struct{ name, model, port, state, rate, spark int }

func (m topModel) widths() topWidths {
	const signs = 3
	w := topWidths{name: 18, state: 20, rate: 9}
	left := m.width - signs - (w.name + 1) - w.state - topNumbers
	switch {
	case m.width < signs+8+1+12+topNumbers: // no numbers
		w.rate = 0
		w.state = min(w.state, max(1, (m.width-signs)/2))
		w.name = max(1, m.width-signs-w.state-1)
		return w
	case left < 0:
		w.state = max(12, w.state+left)
		w.name = m.width - signs - 1 - w.state - topNumbers
		return w
	}
	if left >= 8+1+17 {
		w.port = 7
		left -= w.port + 1
	}
	if left >= 18+12 {
		w.model = 18
		left -= w.model + 1
	}
	w.spark = max(0, min(left, 40))
	if left -= w.spark; left > 0 {
		w.name += min(left, 14)
	}
	return w
}

// View implements tea.Model.
func (m topModel) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	return v
}

// screen is what is seen, as lines.
func (m topModel) screen() string {
	if m.help {
		return m.fit(strings.Split(topHelp, "\n"))
	}
	rows, w := m.rows(), m.widths()
	lines := []string{m.summary(), m.heads(w)}
	room := m.room()
	for _, p := range rows[min(m.offset, len(rows)):min(m.offset+room, len(rows))] {
		lines = append(lines, m.row(p, w))
	}
	if len(rows) == 0 {
		lines = append(lines, m.style.paint(dim, m.empty()))
	}
	for len(lines) < topHead+room {
		lines = append(lines, "")
	}
	if m.foot() == topFoot {
		lines = append(lines, m.detail(rows)...)
	}
	return m.fit(append(lines, m.footer()))
}

// fit makes lines one screen, whatever its size.
func (m topModel) fit(lines []string) string {
	return strings.Join(lines[:min(len(lines), max(1, m.height))], "\n")
}

func (m topModel) empty() string {
	switch {
	case len(m.phones) > 0:
		return "  No phone is like that. Esc shows all."
	case !m.daemon.Connected:
		return ""
	}
	return `  No iPhone or iPad is plugged in. If one is, run "muxctl doctor".`
}

// summary is the first line: the daemon, who needs someone, and all rates.
func (m topModel) summary() string {
	var needs, ready int
	var in, out float64
	for _, p := range m.phones {
		switch {
		case p.Standing.Needs():
			needs++
		case p.Standing == observer.Ready:
			ready++
		}
		in, out = in+p.traffic.InRate, out+p.traffic.OutRate
	}
	if !m.daemon.Connected {
		return m.style.paint(red, cut("No daemon: "+oneLine(strings.TrimPrefix(m.daemon.Problem, "no daemon answers: ")), m.width))
	}
	needText := fmt.Sprintf("%d need someone", needs)
	if needs == 1 {
		needText = "1 needs someone"
	}
	right := fmt.Sprintf("↓ %s  ↑ %s", rateText(in), rateText(out))
	parts := []struct{ text, paint string }{
		{plural(len(m.phones), "phone"), bold}, {needText, yellow}, {fmt.Sprintf("%d ready", ready), green}, {"usbmuxd " + m.daemon.Version, dim},
	}
	if needs == 0 {
		parts[1].paint = dim
	}
	var b strings.Builder
	used := 0
	for _, p := range parts {
		if used+width(p.text)+2+width(right) > m.width {
			break
		}
		b.WriteString(m.style.paint(p.paint, p.text) + "  ")
		used += width(p.text) + 2
	}
	if space := m.width - used - width(right); space >= 0 {
		b.WriteString(strings.Repeat(" ", space) + right)
	}
	return b.String()
}

func (m topModel) heads(w topWidths) string {
	line := "   " + pad("NAME", w.name) + " "
	if w.model > 0 {
		line += pad("MODEL", w.model) + " "
	}
	if w.port > 0 {
		line += pad("PORT", w.port) + " "
	}
	line += pad("STATE", w.state)
	if w.rate > 0 {
		line += "  CONN " + left("FROM", w.rate) + " " + left("TO", w.rate)
	}
	if w.spark >= 7 {
		line += " " + left("RECENT", w.spark-1)
	}
	return m.style.paint(dim, cut(line, m.width))
}

// left pads on the left.
func left(s string, n int) string { return strings.Repeat(" ", max(0, n-width(s))) + s }

var topSigns = map[observer.Standing]string{observer.Ready: "●", observer.Pending: "○", observer.Person: "▲", observer.Fault: "■"}

func (m topModel) row(p *topPhone, w topWidths) string {
	sign := " " + topSigns[p.Standing]
	name, state := cut(oneLine(p.Title), w.name), p.Trust
	if age := m.now.Sub(p.Since); age > 0 && !p.Since.IsZero() {
		state += " " + shortAge(int(age.Seconds()))
	}
	hue := hue(p.Trust)
	nameHue := bold
	if p.Key == m.chosen {
		sign, nameHue = ">"+topSigns[p.Standing], "7" // reverse
	}
	cells := []string{m.style.paint(hue, sign), m.style.paint(nameHue, pad(name, w.name))}
	if w.model > 0 {
		cells = append(cells, m.style.paint(dim, pad(cut(oneLine(modelText(p.Device)), w.model), w.model)))
	}
	if w.port > 0 {
		cells = append(cells, m.style.paint(dim, pad(cut(oneLine(p.PortPath), w.port), w.port)))
	}
	connections := ""
	if p.traffic.Sessions > 0 {
		connections = fmt.Sprint(p.traffic.Sessions)
	}
	cells = append(cells, m.style.paint(hue, pad(cut(state, w.state), w.state)))
	if w.rate > 0 {
		cells = append(cells, left(connections, 5), left(quietly(p.traffic.InRate), w.rate), left(quietly(p.traffic.OutRate), w.rate))
	}
	if w.spark > 0 {
		cells = append(cells, m.style.paint(hue, sparkline(p.spark, w.spark-1)))
	}
	return strings.TrimRight(strings.Join(cells, " "), " ")
}

// detail is what is the case with the chosen phone.
func (m topModel) detail(rows []*topPhone) []string {
	lines := []string{m.style.paint(dim, strings.Repeat("─", m.width)), "", "", ""}
	i := m.index(rows)
	if i < 0 {
		return lines
	}
	p := rows[i]
	facts := []string{udidOf(p.Device), oneLine(modelText(p.Device)), p.Version}
	if p.PortPath != "" {
		facts = append(facts, "port "+oneLine(p.PortPath))
	}
	facts = append(facts, bytesText(p.traffic.BytesIn)+" from it", bytesText(p.traffic.BytesOut)+" to it")
	var known []string
	for _, f := range facts {
		if f != "" {
			known = append(known, f)
		}
	}
	lines[1] = m.style.paint(dim, cut(strings.Join(known, ", "), m.width))
	text := oneLine(p.Reason)
	if p.Standing != observer.Ready && p.NextStep != "" {
		text += " " + oneLine(p.NextStep)
	}
	for i, l := range wrap(text, m.width) {
		if i == 1 {
			rest := strings.TrimSpace(strings.TrimPrefix(strings.Join(strings.Fields(text), " "), lines[2]))
			lines[3] = cut(rest, m.width)
			break
		}
		lines[2+i] = l
	}
	return lines
}

func (m topModel) footer() string {
	switch {
	case m.typing:
		return cut("/"+m.filter+"█", m.width)
	case m.note != "":
		return m.style.paint(bold, cut(m.note, m.width))
	}
	keys := fmt.Sprintf("/ filter  s sort: %s  t trust  R reset  c copy UDID  ? help  q quit", topOrders[m.order].name)
	if m.filter != "" {
		keys = fmt.Sprintf("/%s  Esc all  ", m.filter) + keys
	}
	return m.style.paint(dim, cut(keys, m.width))
}

const topHelp = `muxctl top

  ↑ ↓, k j      choose a phone          PgUp PgDn     a page
  Home End      the first, the last
  /             filter by name, model, UDID, port, state; Esc ends that
  s S           sort by need, traffic, name, port, age
  t             have the phone ask its owner to trust this computer
  R O           reset the phone over USB, have the daemon open it anew
  c             copy the UDID to your clipboard (OSC 52)
  Ctrl-Z        suspend
  q, Ctrl-C     quit

  ● ready   ○ under way, or not asked   ▲ its owner has to do something
  ■ somebody has to mend something      > the chosen phone

  "muxctl explain STATE" tells more of a state, "muxctl serve" shows the same
  on a web page.

Any key goes back.`

func rateText(n float64) string {
	if n < 0.5 {
		return "0"
	}
	return bytesText(uint64(n+0.5)) + "/s"
}

// quietly is a rate, or nothing.
func quietly(n float64) string {
	if n < 0.5 {
		return ""
	}
	return rateText(n)
}

func shortAge(s int) string {
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%dh", s/3600)
	}
	return fmt.Sprintf("%dd", s/86400)
}

// sparkline draws the last n rates, the highest of which fills a cell; less than
// what a handshake takes is nothing.
func sparkline(s spark, n int) string {
	const bars, least = "▁▂▃▄▅▆▇█", 20_000
	top := float64(least)
	s = s[max(0, len(s)-max(n, 0)):]
	for _, v := range s {
		top = max(top, v)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", max(0, n-len(s))))
	for _, v := range s {
		switch i := int(v / top * 8); {
		case v < 1:
			b.WriteByte(' ')
		default:
			b.WriteString(string([]rune(bars)[min(i, 7)]))
		}
	}
	return b.String()
}
