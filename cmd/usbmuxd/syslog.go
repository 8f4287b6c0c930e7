package main

import (
	"log/syslog"
	"sync"

	"go.uber.org/zap/zapcore"
)

// syslogWriter writes to the system's log. While nobody takes it, lines are lost,
// as those of every program are then.
type syslogWriter struct {
	mu sync.Mutex // guards w
	w  *syslog.Writer
}

func newSyslog(level zapcore.LevelEnabler) zapcore.Core {
	s := new(syslogWriter)
	return newLineCore(level, func(e zapcore.Entry, line string, _ []zapcore.Field) {
		// An error would be reported on standard error, to nobody.
		_ = s.write(e.Level, line)
	})
}

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
