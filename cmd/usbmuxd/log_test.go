package main

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLogLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 67_000_000, time.UTC)
	for _, tt := range []struct {
		journal bool
		level   zapcore.Level
		want    string
	}{
		{false, zap.InfoLevel, "03:04:05.067 INFO usb: attached {\"port\": 7}\n"},
		{false, zap.WarnLevel, "03:04:05.067 WARN usb: attached {\"port\": 7}\n"},
		{true, zap.DebugLevel, "<7>usb: attached {\"port\": 7}\n"},
		{true, zap.InfoLevel, "<6>usb: attached {\"port\": 7}\n"},
		{true, zap.WarnLevel, "<4>usb: attached {\"port\": 7}\n"},
		{true, zap.ErrorLevel, "<3>usb: attached {\"port\": 7}\n"},
		{true, zap.FatalLevel, "<2>usb: attached {\"port\": 7}\n"},
	} {
		line, err := newEncoder(tt.journal).EncodeEntry(
			zapcore.Entry{Level: tt.level, Time: at, LoggerName: "usb", Message: "attached"}, []zapcore.Field{zap.Int("port", 7)})
		if err != nil {
			t.Fatal(err)
		}
		if got := line.String(); got != tt.want {
			t.Errorf("journal %v: want %q, got %q", tt.journal, tt.want, got)
		}
	}
}
