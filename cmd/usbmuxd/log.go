package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// logging is the daemon's log, and where it goes.
type logging struct {
	*zap.Logger
	level zap.AtomicLevel // may change while in use
	file  *os.File        // nil for standard error and the system's log
}

// newLogging logs to the file that is set, else in the foreground to standard
// error, for people with a time and for the journal with its priority prefix,
// else to the system's log.
func newLogging(s *settings, foreground bool) (*logging, error) {
	l := &logging{level: zap.NewAtomicLevel()}
	l.set(s.Log.Level)
	var core zapcore.Core
	switch {
	case s.Log.File != "":
		f, err := os.OpenFile(s.Log.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOCTTY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("log file: %w; name another with --logfile", err)
		}
		l.file = f
		core = zapcore.NewCore(newEncoder(false), zapcore.Lock(f), l.level)
	case foreground:
		toJournal, err := journal.StderrIsJournalStream()
		core = zapcore.NewCore(newEncoder(toJournal && err == nil), zapcore.Lock(os.Stderr), l.level)
	default:
		core = newSyslog(l.level)
	}
	l.Logger = zap.New(newSparse(core))
	return l, nil
}

// set changes the level to one of levels.
func (l *logging) set(level string) {
	if parsed, err := zapcore.ParseLevel(level); err == nil {
		l.level.SetLevel(parsed)
	}
}

func newEncoder(toJournal bool) zapcore.Encoder {
	cfg := plainEncoding()
	if toJournal {
		return journalEncoder{zapcore.NewConsoleEncoder(cfg)}
	}
	cfg.TimeKey = "time"
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.LevelKey = "level"
	cfg.EncodeLevel = func(l zapcore.Level, e zapcore.PrimitiveArrayEncoder) {
		e.AppendString(strings.ToUpper(l.String()))
	}
	return zapcore.NewConsoleEncoder(cfg)
}

// plainEncoding is a line without time and level, for logs that add theirs.
func plainEncoding() zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		MessageKey:       "message",
		NameKey:          "name",
		ConsoleSeparator: " ",
		EncodeDuration:   zapcore.StringDurationEncoder,
		EncodeName:       func(name string, e zapcore.PrimitiveArrayEncoder) { e.AppendString(name + ":") },
	}
}

// journalEncoder puts the priority before each line, as sd-daemon(3) says.
type journalEncoder struct{ zapcore.Encoder }

// Clone implements zapcore.Encoder.
func (e journalEncoder) Clone() zapcore.Encoder { return journalEncoder{e.Encoder.Clone()} }

var lines = buffer.NewPool()

// EncodeEntry implements zapcore.Encoder.
func (e journalEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	text, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	defer text.Free()
	line := lines.Get()
	line.AppendString(priority(entry.Level))
	line.Write(text.Bytes())
	return line, nil
}

func priority(l zapcore.Level) string {
	switch {
	case l >= zapcore.DPanicLevel:
		return "<2>"
	case l == zapcore.ErrorLevel:
		return "<3>"
	case l == zapcore.WarnLevel:
		return "<4>"
	case l == zapcore.InfoLevel:
		return "<6>"
	}
	return "<7>"
}
