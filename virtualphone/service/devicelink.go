package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Names of device-link messages. The phone sends all but those of the host:
// dlStatusResponse always, dlVersionExchange, dlProcessMessage and dlDisconnect too.
const (
	dlVersionExchange = "DLMessageVersionExchange"
	dlDeviceReady     = "DLMessageDeviceReady"
	dlProcessMessage  = "DLMessageProcessMessage"
	dlStatusResponse  = "DLMessageStatusResponse"
	dlDisconnect      = "DLMessageDisconnect"
	dlFreeDiskSpace   = "DLMessageGetFreeDiskSpace"
	dlContents        = "DLContentsOfDirectory"
	dlCreateDirectory = "DLMessageCreateDirectory"
	dlDownloadFiles   = "DLMessageDownloadFiles" // host to phone
	dlUploadFiles     = "DLMessageUploadFiles"   // phone to host
	dlMoveItems       = "DLMessageMoveItems"
	dlRemoveItems     = "DLMessageRemoveItems"
	dlCopyItem        = "DLMessageCopyItem"
)

// dlEmpty stands for a parameter that is left out.
const dlEmpty = "___EmptyParameterString___"

// dlVersionsOK is how a host accepts the phone's version.
const dlVersionsOK = "DLVersionsOk"

// maxLinkArgs is how many elements a device-link message has at most.
const maxLinkArgs = 16

// errDisconnected is the host's own end of a link.
var errDisconnected = errors.New("host disconnected")

// linkMessage is one message: its name and what follows it in the array.
type linkMessage struct {
	name string
	args []any
}

// arg returns argument i, nil if it is missing.
func (m linkMessage) arg(i int) any {
	if i < len(m.args) {
		return m.args[i]
	}
	return nil
}

// linkStatus is the host's answer to what the phone has ordered.
type linkStatus struct {
	code  int64 // 0 = done, otherwise negative
	text  string
	value any
}

// deviceLink is the phone's end of a device link: messages are arrays in framed
// property lists, and the phone gives the orders once a request has been made.
// Between them, file streams run in either direction; see readFiles and fileWriter.
// It belongs to one goroutine and holds no more than linkBuffer of each direction
// and one message.
//
// Source: the messages that idevicebackup2 prints with -d, as published in reports
// of its users, and the names in its binary.
type deviceLink struct {
	r *bufio.Reader
	w io.Writer
}

func newDeviceLink(r io.Reader, w io.Writer) *deviceLink {
	return &deviceLink{r: bufio.NewReaderSize(r, linkBuffer), w: w}
}

// send sends one message.
func (l *deviceLink) send(name string, args ...any) error {
	return WritePlist(l.w, append([]any{name}, args...), true)
}

// receive reads one message. It returns errDisconnected for the host's goodbye.
func (l *deviceLink) receive() (linkMessage, error) {
	var array []any
	if _, err := ReadPlist(l.r, &array); err != nil {
		return linkMessage{}, err
	}
	if len(array) == 0 || len(array) > maxLinkArgs {
		return linkMessage{}, fmt.Errorf("%w: device-link message of %d elements", ErrProtocol, len(array))
	}
	name, ok := array[0].(string)
	if !ok {
		return linkMessage{}, fmt.Errorf("%w: device-link message that starts with %T", ErrProtocol, array[0])
	}
	if name == dlDisconnect {
		return linkMessage{}, errDisconnected
	}
	return linkMessage{name: name, args: array[1:]}, nil
}

// handshake agrees on the link's version, which is the phone's to choose.
func (l *deviceLink) handshake(version uint64) error {
	if err := l.send(dlVersionExchange, version, uint64(0)); err != nil {
		return err
	}
	m, err := l.receive()
	if err != nil {
		return err
	}
	if m.name != dlVersionExchange || m.arg(0) != dlVersionsOK {
		return fmt.Errorf("%w: %q %v in place of %s", ErrProtocol, m.name, m.arg(0), dlVersionsOK)
	}
	return l.send(dlDeviceReady)
}

// request reads the host's next request: the dictionary of a dlProcessMessage.
func (l *deviceLink) request() (map[string]any, error) {
	m, err := l.receive()
	if err != nil {
		return nil, err
	}
	body, ok := m.arg(0).(map[string]any)
	if m.name != dlProcessMessage || !ok {
		return nil, fmt.Errorf("%w: %q in place of a request", ErrProtocol, m.name)
	}
	return body, nil
}

// order sends what the host is to do and waits for its answer.
func (l *deviceLink) order(name string, args ...any) (linkStatus, error) {
	if err := l.send(name, args...); err != nil {
		return linkStatus{}, err
	}
	return l.status()
}

// status reads the host's answer to an order.
func (l *deviceLink) status() (linkStatus, error) {
	m, err := l.receive()
	if err != nil {
		return linkStatus{}, err
	}
	code, ok := integer(m.arg(0))
	if m.name != dlStatusResponse || !ok {
		return linkStatus{}, fmt.Errorf("%w: %q in place of a status", ErrProtocol, m.name)
	}
	text, _ := m.arg(1).(string)
	if text == dlEmpty {
		text = ""
	}
	return linkStatus{code: code, text: text, value: m.arg(2)}, nil
}

// integer returns v, an integer of a property list, as int64.
func integer(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), true // above 63 bits it is meant negative
	}
	return 0, false
}
