package main

import (
	"log/syslog"
	"strings"
	"sync"

	"go.uber.org/zap/zapcore"
)

// syslogCore logs to the system's log. While nobody takes it, lines are lost, as
// those of every program are then.
type syslogCore struct {
	zapcore.LevelEnabler
	encoder zapcore.Encoder
	writer  *syslogWriter
}

// syslogWriter is what all cores that come of one write to.
type syslogWriter struct {
	mu sync.Mutex // guards w
	w  *syslog.Writer
}

func newSyslog(level zapcore.LevelEnabler) zapcore.Core {
	return &syslogCore{level, zapcore.NewConsoleEncoder(plainEncoding()), new(syslogWriter)}
}

// With implements zapcore.Core.
func (c *syslogCore) With(fields []zapcore.Field) zapcore.Core {
	encoder := c.encoder.Clone()
	for _, f := range fields {
		f.AddTo(encoder)
	}
	return &syslogCore{c.LevelEnabler, encoder, c.writer}
}

// Check implements zapcore.Core.
func (c *syslogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *syslogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	text, err := c.encoder.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer text.Free()
	// An error would be reported on standard error, to nobody.
	_ = c.writer.write(e.Level, strings.TrimSuffix(text.String(), "\n"))
	return nil
}

// Sync implements zapcore.Core.
func (c *syslogCore) Sync() error { return nil }

func (s *syslogWriter) write(level zapcore.Level, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		w, err := syslog.New(syslog.LOG_DAEMON, "usbmuxd")
		if err != nil {
			return err
		}
		s.w = w
	}
	switch {
	case level >= zapcore.DPanicLevel:
		return s.w.Crit(line)
	case level == zapcore.ErrorLevel:
		return s.w.Err(line)
	case level == zapcore.WarnLevel:
		return s.w.Warning(line)
	case level == zapcore.InfoLevel:
		return s.w.Info(line)
	}
	return s.w.Debug(line)
}
