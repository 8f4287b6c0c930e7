package main

import (
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// lineCore gives each entry, as a line of text without time and level, to whoever
// keeps those himself.
type lineCore struct {
	zapcore.LevelEnabler
	encoder zapcore.Encoder
	fields  []zapcore.Field // of the logger; the encoder has them too
	send    func(e zapcore.Entry, line string, fields []zapcore.Field)
}

func newLineCore(level zapcore.LevelEnabler, send func(zapcore.Entry, string, []zapcore.Field)) zapcore.Core {
	return &lineCore{LevelEnabler: level, encoder: zapcore.NewConsoleEncoder(plainEncoding()), send: send}
}

// With implements zapcore.Core.
func (c *lineCore) With(fields []zapcore.Field) zapcore.Core {
	encoder := c.encoder.Clone()
	for _, f := range fields {
		f.AddTo(encoder)
	}
	return &lineCore{c.LevelEnabler, encoder, slices.Concat(c.fields, fields), c.send}
}

// Check implements zapcore.Core.
func (c *lineCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *lineCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	text, err := c.encoder.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer text.Free()
	c.send(e, strings.TrimSuffix(text.String(), "\n"), slices.Concat(c.fields, fields))
	return nil
}

// Sync implements zapcore.Core.
func (c *lineCore) Sync() error { return nil }
