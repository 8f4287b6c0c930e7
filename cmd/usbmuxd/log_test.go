package main

import (
	"maps"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLogLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 67_000_000, time.UTC)
	for level, want := range map[zapcore.Level]string{
		zap.InfoLevel: "03:04:05.067 INFO usb: attached {\"port\": 7}\n",
		zap.WarnLevel: "03:04:05.067 WARN usb: attached {\"port\": 7}\n",
	} {
		line, err := newEncoder().EncodeEntry(
			zapcore.Entry{Level: level, Time: at, LoggerName: "usb", Message: "attached"}, []zapcore.Field{zap.Int("port", 7)})
		if err != nil {
			t.Fatal(err)
		}
		if got := line.String(); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// TestJournalFields asserts what an entry of the journal can be searched by, and
// what its line says.
func TestJournalFields(t *testing.T) {
	var got map[string]string
	var text string
	log := zap.New(newTelling(newLineCore(zap.InfoLevel, func(e zapcore.Entry, line string, fields []zapcore.Field) {
		got, text = journalFields(e, fields), line
	}), func(string) string { return "Anna" })).Named("audit").With(zap.String("udid", "u1"))
	log.Debug("not this")
	log.Warn("refused", zap.Uint32("uid", 33), zap.Duration("after", time.Second), zap.String("odd key", "a\nb"))
	want := map[string]string{
		"SYSLOG_IDENTIFIER": "usbmuxd", "USBMUXD_EVENT": "refused", "USBMUXD_PHONE": "Anna (u1)", "USBMUXD_NEXT": events["refused"].next, "USBMUXD_LOGGER": "audit",
		"USBMUXD_UDID": "u1", "USBMUXD_UID": "33", "USBMUXD_AFTER": "1s", "USBMUXD_ODD_KEY": "a\nb",
	}
	if !maps.Equal(got, want) {
		t.Errorf("want %v, got %v", want, got)
	}
	if want := `audit: refused {"udid": "u1", "phone": "Anna (u1)", "uid": 33, "after": "1s", "odd key": "a\nb", "next": "` + events["refused"].next + `", "event": "refused"}`; text != want {
		t.Errorf("want %s, got %s", want, text)
	}
}
