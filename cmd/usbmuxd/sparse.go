package main

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// sparseLines are written of one cause in a second: a hostile phone or client
	// must not fill the disk. What is left out is counted.
	sparseLines = 10
	// sparseCauses are told apart; the rest share.
	sparseCauses = 1024
)

// sparse is a core that writes only so many lines of the same cause, which is
// level, logger, phone and message. Debug lines, which somebody asked for, are not
// limited.
type sparse struct {
	zapcore.Core
	phone  string // of a logger that is one phone's
	causes *causes
}

func newSparse(core zapcore.Core) zapcore.Core {
	return sparse{Core: core, causes: &causes{seen: make(map[cause]*count)}}
}

type cause struct {
	level                zapcore.Level
	name, phone, message string
}

// count is what one cause has had of the present second.
type count struct {
	written, left int
}

// causes are those of the present second.
type causes struct {
	mu   sync.Mutex // guards seen and the counts
	seen map[cause]*count
}

// With implements zapcore.Core.
func (s sparse) With(fields []zapcore.Field) zapcore.Core {
	s.Core = s.Core.With(fields)
	for _, f := range fields {
		if f.Key == "port_path" {
			s.phone = f.String
		}
	}
	return s
}

// Check implements zapcore.Core.
func (s sparse) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Enabled(e.Level) {
		return ce.AddCore(e, s)
	}
	return ce
}

// Write implements zapcore.Core.
func (s sparse) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level > zapcore.DebugLevel && !s.take(e) {
		return nil
	}
	return s.Core.Write(e, fields)
}

// take reports whether a line is to be written.
func (s sparse) take(e zapcore.Entry) bool {
	s.causes.mu.Lock()
	defer s.causes.mu.Unlock()
	k := cause{e.Level, e.LoggerName, s.phone, e.Message}
	c := s.causes.seen[k]
	if c == nil && len(s.causes.seen) >= sparseCauses {
		k = cause{level: e.Level}
		c = s.causes.seen[k]
	}
	if c == nil {
		c = new(count)
		s.causes.seen[k] = c
		time.AfterFunc(time.Second, func() { s.sum(k, e) })
	}
	if c.written < sparseLines {
		c.written++
		return true
	}
	c.left++
	return false
}

// sum ends a second of a cause, and tells of the lines that were left out.
func (s sparse) sum(k cause, e zapcore.Entry) {
	s.causes.mu.Lock()
	left := s.causes.seen[k].left
	delete(s.causes.seen, k)
	s.causes.mu.Unlock()
	if left > 0 {
		e.Time = time.Now()
		_ = s.Core.Write(e, []zapcore.Field{zap.Int("more_in_a_second", left)}) // there is nobody to tell
	}
}
