package main

import (
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// newLogger logs to standard error: for people with a time, for the journal
// with its priority prefix instead.
func newLogger(verbose int) *zap.Logger {
	level := zapcore.InfoLevel
	if verbose > 0 {
		level = zapcore.DebugLevel
	}
	toJournal, err := journal.StderrIsJournalStream()
	return zap.New(zapcore.NewCore(newEncoder(toJournal && err == nil), zapcore.Lock(os.Stderr), level))
}

func newEncoder(toJournal bool) zapcore.Encoder {
	cfg := zapcore.EncoderConfig{
		MessageKey:       "message",
		NameKey:          "name",
		ConsoleSeparator: " ",
		EncodeDuration:   zapcore.StringDurationEncoder,
		EncodeName:       func(name string, e zapcore.PrimitiveArrayEncoder) { e.AppendString(name + ":") },
	}
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
