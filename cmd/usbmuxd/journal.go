package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap/zapcore"
)

// newJournal writes to systemd's journal, with the fields of a line as fields of
// the entry: journalctl -o json, or journalctl USBMUXD_UDID=... . What the journal
// does not take goes to stderr, which is the journal's by another way.
func newJournal(level zapcore.LevelEnabler, stderr io.Writer) zapcore.Core {
	return newLineCore(level, func(e zapcore.Entry, line string, fields []zapcore.Field) {
		p := priority(e.Level)
		if journal.Send(line, p, journalFields(e, fields)) != nil {
			fmt.Fprintf(stderr, "<%d>%s\n", p, line)
		}
	})
}

// journalFields are a line's fields, by names that the journal takes.
func journalFields(e zapcore.Entry, fields []zapcore.Field) map[string]string {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	all := map[string]string{
		"SYSLOG_IDENTIFIER": "usbmuxd",
	}
	if e.LoggerName != "" {
		all["USBMUXD_LOGGER"] = e.LoggerName
	}
	for k, v := range values.Fields {
		name := strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
				return r
			}
			return '_'
		}, k)
		all["USBMUXD_"+name] = fmt.Sprint(v)
	}
	return all
}

func priority(l zapcore.Level) journal.Priority {
	switch {
	case l >= zapcore.DPanicLevel:
		return journal.PriCrit
	case l == zapcore.ErrorLevel:
		return journal.PriErr
	case l == zapcore.WarnLevel:
		return journal.PriWarning
	case l == zapcore.InfoLevel:
		return journal.PriInfo
	}
	return journal.PriDebug
}
