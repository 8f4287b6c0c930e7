package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// afc is a client of com.apple.afc, the service by which every phone lends its
// media folder to a computer that it trusts. One goroutine uses it at a time.
//
//	0        8              16            24             32         40
//	| magic  | entire length | this length | packet number | operation | ...
//
// All numbers are little-endian uint64. Source: what independent clients publish
// of the protocol; package virtualphone/service has the other end.
type afc struct {
	conn net.Conn
	sent uint64 // packets
	idle time.Duration
	head [afcHeader]byte
}

const (
	afcMagic  = "CFA6LPAA"
	afcHeader = 40

	// afcIdle is how long a phone may take nothing and give nothing.
	afcIdle = 30 * time.Second

	// afcReply bounds an answer that is no content of a file, in bytes.
	afcReply = 16 << 20

	afcPiece = 1 << 20 // bytes of one read or write
)

// Operations, and the modes of opening.
const (
	afcStatus  = 0x01
	afcData    = 0x02
	afcReadDir = 0x03
	afcRemove  = 0x08
	afcMakeDir = 0x09
	afcInfo    = 0x0b
	afcOpen    = 0x0d
	afcOpened  = 0x0e
	afcRead    = 0x0f
	afcWrite   = 0x10
	afcSeek    = 0x11
	afcClose   = 0x14
	afcForRead = 1
	afcForBoth = 4 // made or emptied
)

// afcNotFound is the status for a path that is not there.
const afcNotFound afcError = 8

// afcError is a status by which the phone refuses.
type afcError uint64

func (e afcError) Error() string { return fmt.Sprintf("afc status %d", uint64(e)) }

// errAFC is wrapped if the phone answers what the protocol does not allow.
var errAFC = errors.New("not the afc protocol")

// newAFC takes over a connection to the service.
func newAFC(conn net.Conn) *afc { return &afc{conn: conn, idle: afcIdle} }

// Close closes the connection.
func (a *afc) Close() error { return a.conn.Close() }

// send sends a packet: what belongs to the operation, then content.
func (a *afc) send(op uint64, args, content []byte) error {
	this := afcHeader + len(args)
	b := append(make([]byte, 0, this+len(content)), afcMagic...)
	for _, n := range []uint64{uint64(this + len(content)), uint64(this), a.sent, op} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	a.sent++
	b = append(append(b, args...), content...)
	// Piece by piece: no piece may take longer than idle.
	for len(b) > 0 {
		if err := a.conn.SetDeadline(time.Now().Add(a.idle)); err != nil {
			return err
		}
		n, err := a.conn.Write(b[:min(len(b), 64<<10)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// receive reads the header of an answer: its operation, and how many bytes
// follow.
func (a *afc) receive() (op, n uint64, err error) {
	if err := a.fill(a.head[:]); err != nil {
		return 0, 0, err
	}
	entire := binary.LittleEndian.Uint64(a.head[8:])
	if string(a.head[:8]) != afcMagic || entire < afcHeader {
		return 0, 0, fmt.Errorf("%w: header % x", errAFC, a.head)
	}
	return binary.LittleEndian.Uint64(a.head[32:]), entire - afcHeader, nil
}

// fill reads all of b, as long as something comes within idle.
func (a *afc) fill(b []byte) error {
	for len(b) > 0 {
		if err := a.conn.SetDeadline(time.Now().Add(a.idle)); err != nil {
			return err
		}
		n, err := a.conn.Read(b)
		b = b[n:]
		if err != nil && len(b) > 0 {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// ask sends a packet and returns what the answer of that operation holds. A
// status that is not 0 is an afcError; status 0 answers any operation.
func (a *afc) ask(op uint64, args, content []byte, want uint64) ([]byte, error) {
	if err := a.send(op, args, content); err != nil {
		return nil, err
	}
	got, n, err := a.receive()
	if err != nil {
		return nil, err
	}
	if n > afcReply {
		return nil, fmt.Errorf("%w: answer of %d bytes", errAFC, n)
	}
	b := make([]byte, n)
	if err := a.fill(b); err != nil {
		return nil, err
	}
	switch {
	case got == afcStatus && len(b) >= 8:
		if s := binary.LittleEndian.Uint64(b); s != 0 {
			return nil, afcError(s)
		}
		return nil, nil
	case got == want:
		return b, nil
	}
	return nil, fmt.Errorf("%w: answer %#x to operation %#x", errAFC, got, op)
}

// text is a path as an argument.
func text(s string) []byte { return append([]byte(s), 0) }

// numbers are arguments.
func numbers(all ...uint64) []byte {
	var b []byte
	for _, n := range all {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// free is how many bytes the phone has left.
func (a *afc) free() (int64, error) {
	b, err := a.ask(afcInfo, nil, nil, afcData)
	if err != nil {
		return 0, err
	}
	words := strings.Split(string(b), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == "FSFreeBytes" {
			return strconv.ParseInt(words[i+1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%w: no FSFreeBytes", errAFC)
}

// list gives the names in a directory.
func (a *afc) list(dir string) ([]string, error) {
	b, err := a.ask(afcReadDir, text(dir), nil, afcData)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range bytes.SplitSeq(b, []byte{0}) {
		if s := string(name); s != "" && s != "." && s != ".." {
			names = append(names, s)
		}
	}
	return names, nil
}

func (a *afc) mkdir(dir string) error {
	_, err := a.ask(afcMakeDir, text(dir), nil, afcStatus)
	return err
}

// remove removes a file or an empty directory.
func (a *afc) remove(name string) error {
	_, err := a.ask(afcRemove, text(name), nil, afcStatus)
	return err
}

// open opens a file and returns the handle.
func (a *afc) open(name string, mode uint64) (uint64, error) {
	b, err := a.ask(afcOpen, append(numbers(mode), text(name)...), nil, afcOpened)
	if err != nil {
		return 0, err
	}
	if len(b) < 8 {
		return 0, fmt.Errorf("%w: no handle", errAFC)
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (a *afc) closeFile(handle uint64) error {
	_, err := a.ask(afcClose, numbers(handle), nil, afcStatus)
	return err
}

// write writes b at the position of the handle.
func (a *afc) write(handle uint64, b []byte) error {
	_, err := a.ask(afcWrite, numbers(handle), b, afcStatus)
	return err
}

// rewind goes to the start of the file.
func (a *afc) rewind(handle uint64) error {
	_, err := a.ask(afcSeek, numbers(handle, 0, 0), nil, afcStatus)
	return err
}

// read reads up to len(b) bytes at the position of the handle; 0 at the end.
func (a *afc) read(handle uint64, b []byte) (int, error) {
	if err := a.send(afcRead, numbers(handle, uint64(len(b))), nil); err != nil {
		return 0, err
	}
	op, n, err := a.receive()
	if err != nil {
		return 0, err
	}
	if op == afcStatus && n >= 8 && n <= afcReply {
		status := make([]byte, n)
		if err := a.fill(status); err != nil {
			return 0, err
		}
		if s := binary.LittleEndian.Uint64(status); s != 0 {
			return 0, afcError(s)
		}
		return 0, nil
	}
	if op != afcData || n > uint64(len(b)) {
		return 0, fmt.Errorf("%w: answer %#x of %d bytes to a read of %d", errAFC, op, n, len(b))
	}
	return int(n), a.fill(b[:n])
}

// during closes the connection when ctx ends, which ends whatever goes on over
// it, and returns what undoes that.
func (a *afc) during(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, func() { a.conn.Close() })
}
