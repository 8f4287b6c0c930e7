package observer

import "time"

// maxLog is how many entries of the log are kept.
const maxLog = 400

// Entry is something that has happened.
type Entry struct {
	Seq      uint64    `json:"seq"` // counts from 1
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`          // "plugged", "unplugged", "state", "recovery", "daemon" or "action"
	Key      string    `json:"key,omitempty"` // of the phone, see KeyOf
	Name     string    `json:"name,omitempty"`
	UDID     string    `json:"udid,omitempty"`
	Standing Standing  `json:"standing"`
	Text     string    `json:"text"`
}

// logbook keeps the newest entries.
type logbook struct {
	seq     uint64
	entries []Entry
}

func (l *logbook) add(e Entry) {
	l.seq++
	e.Seq = l.seq
	if len(l.entries) == maxLog {
		l.entries = append(l.entries[:0], l.entries[1:]...)
	}
	l.entries = append(l.entries, e)
}

// since returns what came after the entry numbered seq, oldest first.
func (l *logbook) since(seq uint64) []Entry {
	n := min(l.seq-min(seq, l.seq), uint64(len(l.entries)))
	return append([]Entry{}, l.entries[uint64(len(l.entries))-n:]...)
}
