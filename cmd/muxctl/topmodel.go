package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"gomuxd/control"
	"gomuxd/control/observer"
)

// topModel is what top shows; topview.go draws it. Deeds are fields, so that tests
// need neither daemon nor terminal.
type topModel struct {
	style         style
	width, height int
	look          func(version uint64, changed <-chan struct{}) tea.Cmd
	do            func(action, ref string) tea.Cmd // trust, reset, reopen
	copy          func(text string) tea.Cmd

	now    time.Time
	daemon observer.Daemon
	phones map[string]*topPhone
	total  spark

	order  int
	chosen string // key
	offset int    // of the first row that is shown
	filter string
	typing bool // into filter
	help   bool
	note   string
	asked  topDeed
}

// topDeed is what y confirms, with the phone that it was asked about.
type topDeed struct{ action, key string }

// topPhone is a phone and its last minutes.
type topPhone struct {
	observer.Phone
	traffic observer.Traffic
	spark   spark
}

// spark is the last rates, oldest first.
type spark []float64

const maxSpark = 120

func (s *spark) add(v float64) {
	if len(*s) == maxSpark {
		*s = append((*s)[:0], (*s)[1:]...)
	}
	*s = append(*s, v)
}

func newTop(s style) topModel {
	return topModel{style: s, width: 80, height: 24, phones: make(map[string]*topPhone)}
}

// topOrders are the ways to sort. Who needs someone comes first in the first one.
var topOrders = []struct {
	name    string
	compare func(a, b *topPhone) int
}{
	{"need", func(a, b *topPhone) int {
		return cmp.Or(cmp.Compare(urgency(a.Standing), urgency(b.Standing)), a.Since.Compare(b.Since))
	}},
	{"traffic", func(a, b *topPhone) int { return cmp.Compare(b.rate(), a.rate()) }},
	{"name", func(a, b *topPhone) int { return 0 }},
	{"port", func(a, b *topPhone) int {
		return cmp.Or(cmp.Compare(len(a.PortPath), len(b.PortPath)), strings.Compare(a.PortPath, b.PortPath))
	}},
	{"age", func(a, b *topPhone) int { return a.Since.Compare(b.Since) }},
}

func urgency(s observer.Standing) int {
	return slices.Index([]observer.Standing{observer.Fault, observer.Person, observer.Pending, observer.Ready}, s)
}

func (p *topPhone) rate() float64 { return p.traffic.InRate + p.traffic.OutRate }

// like reports whether all words of a filter are in what is known of a phone.
func (p *topPhone) like(filter string) bool {
	all := strings.ToLower(strings.Join([]string{p.Title, p.Model, p.Product, p.Version, udidOf(p.Device), p.PortPath, p.Trust}, "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(filter)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

// rows are the phones that are shown, in order.
func (m topModel) rows() []*topPhone {
	var rows []*topPhone
	for _, p := range m.phones {
		if p.like(m.filter) {
			rows = append(rows, p)
		}
	}
	slices.SortFunc(rows, func(a, b *topPhone) int {
		return cmp.Or(topOrders[m.order].compare(a, b), strings.Compare(a.Title, b.Title), strings.Compare(a.Key, b.Key))
	})
	return rows
}

// Update implements tea.Model.
func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topView:
		m.take(msg.View)
		cmd = m.look(msg.Version, msg.changed)
	case topTime:
		m.now = time.Time(msg)
		m.sample()
		cmd = topNext()
	case topNote:
		m.note = string(msg)
	case tea.KeyPressMsg:
		m, cmd = m.key(msg.String(), msg.Text)
	case tea.PasteMsg:
		if m.typing {
			m.filter += oneLine(msg.Content)
		}
	}
	return m.scroll(), cmd
}

// take takes in what is new.
func (m *topModel) take(v observer.View) {
	m.now = v.Time
	if v.Daemon != nil {
		m.daemon = *v.Daemon
		if !m.daemon.Connected {
			for _, p := range m.phones {
				p.traffic.InRate, p.traffic.OutRate = 0, 0
			}
		}
	}
	for _, p := range v.Phones {
		known := m.phones[p.Key]
		if known == nil {
			known = &topPhone{}
			m.phones[p.Key] = known
		}
		known.Phone = p
	}
	for key, t := range v.Traffic {
		if p := m.phones[key]; p != nil {
			p.traffic = t
		}
	}
	if v.Keys != nil {
		for key := range m.phones {
			if !slices.Contains(v.Keys, key) {
				delete(m.phones, key)
			}
		}
	}
}

func (m *topModel) sample() {
	sum := 0.0
	for _, p := range m.phones {
		p.spark.add(p.rate())
		sum += p.rate()
	}
	m.total.add(sum)
}

// key is a key by its name, and the text that it types.
func (m topModel) key(key, text string) (topModel, tea.Cmd) {
	asked := m.asked
	m.note, m.asked = "", topDeed{}
	switch {
	case key == "ctrl+c":
		return m, tea.Quit
	case m.help:
		m.help = false
		return m, nil
	case m.typing:
		switch key {
		case "enter", "down", "up":
			m.typing = false
		case "esc":
			m.typing, m.filter = false, ""
		case "backspace":
			if r := []rune(m.filter); len(r) > 0 {
				m.filter = string(r[:len(r)-1])
			}
		default:
			m.filter += printable(text)
		}
		return m, nil
	}
	switch key {
	case "q":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "up", "k":
		return m.move(-1), nil
	case "down", "j":
		return m.move(1), nil
	case "pgup", "ctrl+b":
		return m.move(-m.room()), nil
	case "pgdown", "ctrl+f", "space":
		return m.move(m.room()), nil
	case "home", "g":
		return m.move(-len(m.phones)), nil
	case "end", "G":
		return m.move(len(m.phones)), nil
	case "s":
		m.order = (m.order + 1) % len(topOrders)
	case "S":
		m.order = (m.order + len(topOrders) - 1) % len(topOrders)
	case "/":
		m.typing = true
	case "esc":
		m.filter = ""
	case "?", "h", "f1":
		m.help = true
	case "c", "t", "R", "O":
		return m.act(key)
	case "y":
		if p := m.phones[asked.key]; p != nil {
			m.note = "At it ..."
			return m, m.do(asked.action, reference(p.Device))
		}
	}
	return m, nil
}

// act does something with the chosen phone.
func (m topModel) act(key string) (topModel, tea.Cmd) {
	p := m.phones[m.chosen]
	switch {
	case p == nil:
		m.note = "No phone is chosen."
	case key == "R" || key == "O":
		m.asked = topDeed{map[string]string{"R": "reset", "O": "reopen"}[key], p.Key}
		m.note = fmt.Sprintf("%s %s? ", map[string]string{"R": "Reset", "O": "Open anew"}[key], cut(oneLine(p.Title), 24))
		if n := p.traffic.Sessions; n > 0 {
			m.note += plural(n, "connection") + " will end. "
		}
		m.note += "y does it."
	case udidOf(p.Device) == "":
		m.note = oneLine(p.Title) + " has not told its UDID: " + oneLine(p.NextStep)
	case key == "c":
		return m, m.copy(udidOf(p.Device))
	default:
		m.note = "Asking " + cut(oneLine(p.Title), maxName) + " ..."
		return m, m.do("trust", udidOf(p.Device))
	}
	return m, nil
}

// reference names a device to the daemon.
func reference(d control.Device) string { return cmp.Or(udidOf(d), d.PortPath) }

// move chooses another phone.
func (m topModel) move(by int) topModel {
	rows := m.rows()
	if len(rows) > 0 {
		m.chosen = rows[min(max(m.index(rows)+by, 0), len(rows)-1)].Key
	}
	return m
}

func (m topModel) index(rows []*topPhone) int {
	return slices.IndexFunc(rows, func(p *topPhone) bool { return p.Key == m.chosen })
}

// scroll keeps a phone chosen, and it on the screen.
func (m topModel) scroll() topModel {
	rows := m.rows()
	i := m.index(rows)
	if i < 0 && len(rows) > 0 {
		i = min(max(m.offset, 0), len(rows)-1)
		m.chosen = rows[i].Key
	}
	room := m.room()
	m.offset = min(m.offset, max(0, len(rows)-room), max(i, 0))
	m.offset = max(m.offset, i-room+1, 0)
	return m
}
