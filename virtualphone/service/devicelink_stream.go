package service

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Codes of the blocks in a file stream.
const (
	blockSuccess     = 0x00 // the file is complete
	blockLocalError  = 0x06 // the sender could not read it; a text follows
	blockRemoteError = 0x0b // the other end has given up; a text follows
	blockData        = 0x0c
)

const (
	// linkBuffer is the size in bytes of the buffers of a device link and of the
	// largest block the phone sends.
	linkBuffer = 64 << 10

	// maxLinkPath is the longest path in a file stream, in bytes.
	maxLinkPath = 4 << 10

	// maxLinkText is how many bytes of an error text are kept.
	maxLinkText = 1 << 10
)

// A file stream is a row of files and the word 0 after the last. All words are
// big-endian uint32:
//
//	| length | path |                       host to phone: one path
//	| length | path | length | path |       phone to host: the phone's, the host's
//	then blocks, | length | code | length-1 bytes |, up to one that is no data
//
// The host reads the code behind a file's last block from the word before it, so
// that block has its length even when empty: 1.

// receiver takes the files of a stream. Its errors end the stream.
type receiver interface {
	begin(path string) error
	data(b []byte) error     // b is valid until the return
	end(failed string) error // failed is the host's error text, "" for a whole file
}

// readFiles reads the file stream that answers dlDownloadFiles.
func (l *deviceLink) readFiles(to receiver) error {
	for {
		n, err := l.word()
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if n > maxLinkPath {
			return fmt.Errorf("%w: path of %d bytes", ErrProtocol, n)
		}
		path := make([]byte, n)
		if err := l.full(path); err != nil {
			return err
		}
		if err := to.begin(string(path)); err != nil {
			return err
		}
		if err := l.readBlocks(to); err != nil {
			return err
		}
	}
}

// readBlocks reads one file up to its last block.
func (l *deviceLink) readBlocks(to receiver) error {
	for {
		n, err := l.word()
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: block without a code", ErrProtocol)
		}
		code, err := l.r.ReadByte()
		if err != nil {
			return within(err)
		}
		n--
		switch code {
		case blockData:
			if err := l.pass(n, to.data); err != nil {
				return err
			}
		case blockSuccess:
			if err := l.pass(n, func([]byte) error { return nil }); err != nil {
				return err
			}
			return to.end("")
		case blockLocalError, blockRemoteError:
			text := []byte("no reason given")[:0]
			if err := l.pass(n, func(b []byte) error {
				text = append(text, b[:min(len(b), maxLinkText-len(text))]...)
				return nil
			}); err != nil {
				return err
			}
			if len(text) == 0 {
				text = text[:cap(text)]
			}
			return to.end(string(text))
		default:
			return fmt.Errorf("%w: block of code %#02x", ErrProtocol, code)
		}
	}
}

// pass gives the next n bytes to f, piece by piece and without a copy.
func (l *deviceLink) pass(n uint32, f func([]byte) error) error {
	for n > 0 {
		b, err := l.r.Peek(int(min(n, uint32(max(1, l.r.Buffered())))))
		if err != nil {
			return within(err)
		}
		if err := f(b); err != nil {
			return err
		}
		n -= uint32(len(b))
		if _, err := l.r.Discard(len(b)); err != nil {
			return err
		}
	}
	return nil
}

// word reads a length.
func (l *deviceLink) word() (uint32, error) {
	var b [4]byte
	err := l.full(b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

func (l *deviceLink) full(b []byte) error {
	_, err := io.ReadFull(l.r, b)
	return within(err)
}

// within names the end of input where there must not be one.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fileWriter writes the file stream that follows dlUploadFiles. After an error all
// that is written is dropped; close returns it.
type fileWriter struct {
	w     *bufio.Writer
	block []byte
	err   error
}

func newFileWriter(w io.Writer) *fileWriter {
	return &fileWriter{w: bufio.NewWriterSize(w, 2*linkBuffer), block: make([]byte, linkBuffer)}
}

// file writes a file of size bytes. from is its name on the phone, to the one it gets
// on the host; fill gives the bytes at an offset.
func (f *fileWriter) file(from, to string, size uint64, fill func(off uint64, b []byte)) {
	f.text(from)
	f.text(to)
	for off := uint64(0); off < size && f.err == nil; {
		b := f.block[:min(size-off, uint64(len(f.block)))]
		fill(off, b)
		f.head(blockData, len(b))
		f.write(b)
		off += uint64(len(b))
	}
	f.head(blockSuccess, 0)
}

// close ends the stream and sends what is left of it.
func (f *fileWriter) close() error {
	f.write([]byte{0, 0, 0, 0})
	if f.err == nil {
		f.err = f.w.Flush()
	}
	return f.err
}

func (f *fileWriter) text(s string) {
	f.write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
	f.write([]byte(s))
}

func (f *fileWriter) head(code byte, n int) {
	f.write(append(binary.BigEndian.AppendUint32(nil, uint32(n+1)), code))
}

func (f *fileWriter) write(b []byte) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
}
