package control

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// streamError is the event that ends a stream, with an Error as data.
const streamError EventType = "error"

// maxMessage is the longest message of a stream that a client takes, in bytes.
const maxMessage = 1 << 20

// message is one Server-Sent Event.
type message struct {
	id   string
	kind string // "message" if the sender gave none
	data []byte
}

// appendMessage appends an event. Neither kind nor data may contain an end of
// line; JSON does not.
func appendMessage(b []byte, id uint64, kind string, data []byte) []byte {
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, "\nevent: "...)
	b = append(b, kind...)
	b = append(b, "\ndata: "...)
	b = append(b, data...)
	return append(b, "\n\n"...)
}

func appendComment(b []byte, text string) []byte {
	b = append(b, ": "...)
	b = append(b, text...)
	return append(b, "\n\n"...)
}

var errLongMessage = fmt.Errorf("a message of the stream is longer than %d bytes", maxMessage)

// messages reads Server-Sent Events: fields in lines, an empty line ends an
// event, a line that starts with a colon is a comment.
// Source: HTML Living Standard, 9.2.6. Lines end with LF or CR LF; a lone CR,
// which the standard allows as well, is none that our server sends.
type messages struct {
	r *bufio.Reader
}

func newMessages(r io.Reader) *messages {
	return &messages{bufio.NewReaderSize(r, 4096)}
}

// next returns the next event that has data. After the last one the error is
// io.EOF, or io.ErrUnexpectedEOF in the middle of one.
func (d *messages) next() (message, error) {
	m := message{}
	var hasData, begun bool
	size := 0
	for {
		line, err := d.line(maxMessage - size)
		switch {
		case errors.Is(err, io.EOF) && (begun || len(line) > 0):
			return message{}, io.ErrUnexpectedEOF
		case err != nil:
			return message{}, err
		}
		size += len(line) + 1
		if len(line) == 0 {
			if hasData {
				if m.kind == "" {
					m.kind = "message"
				}
				return m, nil
			}
			m.kind, begun, size = "", false, 0
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "": // a comment
			continue
		case "id":
			m.id = string(value)
		case "event":
			m.kind = string(value)
		case "data":
			if hasData {
				m.data = append(m.data, '\n')
			}
			m.data = append(m.data, value...)
			hasData = true
		}
		begun = true
	}
}

// line returns the next line without its end, of at most limit bytes.
func (d *messages) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := d.r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLongMessage
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
