package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logging is the daemon's log, and where it goes.
type logging struct {
	*zap.Logger
	level zap.AtomicLevel // may change while in use
	names atomic.Pointer[func(udid string) string]
	file  *os.File // nil for standard error and the system's log
}

// newLogging logs to the file that is set, else in the foreground to standard
// error, or to the journal if that is behind it, else to the system's log.
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
		core = zapcore.NewCore(newEncoder(), zapcore.Lock(f), l.level)
	case foreground:
		if is, err := journal.StderrIsJournalStream(); is && err == nil {
			core = newJournal(l.level, os.Stderr)
		} else {
			core = zapcore.NewCore(newEncoder(), zapcore.Lock(os.Stderr), l.level)
		}
	default:
		core = newSyslog(l.level)
	}
	l.Logger = zap.New(newSparse(newTelling(core, l.nameOf)))
	return l, nil
}

// nameOf is what a phone is called, "" if that is not known.
func (l *logging) nameOf(udid string) string {
	if names := l.names.Load(); names != nil {
		return (*names)(udid)
	}
	return ""
}

// set changes the level to one of levels.
func (l *logging) set(level string) {
	if parsed, err := zapcore.ParseLevel(level); err == nil {
		l.level.SetLevel(parsed)
	}
}

func newEncoder() zapcore.Encoder {
	cfg := plainEncoding()
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
