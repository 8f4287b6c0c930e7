package main

import (
	"encoding/json"
	"slices"
	"strings"
)

// logged is a line of the daemon's log:
//
//	15:04:05.000 DEBUG trust: asked {"port_path": "1-2", "deed": "pair"}
type logged struct {
	text    string // all of it
	level   string
	message string         // without the name of the part of the daemon
	fields  map[string]any // as JSON has them
}

func (logged) source() string   { return "log" }
func (l logged) String() string { return l.text }

// parseLog takes a line apart. What is not a line of the log, such as a stack of
// a panic, has a text only.
func parseLog(text string) logged {
	l := logged{text: text}
	head, fields, ok := strings.Cut(text, " {")
	if ok && json.Unmarshal([]byte("{"+fields), &l.fields) != nil {
		return l
	}
	words := strings.SplitN(head, " ", 3)
	if len(words) < 2 || !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, words[1]) {
		return l
	}
	words = append(words, "")
	l.level, l.message = words[1], words[2]
	if name, rest, ok := strings.Cut(l.message, ": "); ok && !strings.Contains(name, " ") {
		l.message = rest
	}
	return l
}

// text is a field, "" if it is not there or no text.
func (l logged) field(name string) string {
	s, _ := l.fields[name].(string)
	return s
}

// number is a field, 0 if it is not there or no number.
func (l logged) number(name string) int {
	n, _ := l.fields[name].(float64)
	return int(n)
}

// decode reads a field that is an object into v and reports whether it could.
func (l logged) decode(name string, v any) bool {
	b, err := json.Marshal(l.fields[name])
	return err == nil && l.fields[name] != nil && json.Unmarshal(b, v) == nil
}

// saying matches lines with this message.
func saying(message string) func(logged) bool {
	return func(l logged) bool { return l.message == message }
}
