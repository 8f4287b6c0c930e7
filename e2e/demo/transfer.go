package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

const (
	transfer = 64 << 20 // bytes, of each transfer
	seed     = 2026

	// transferLimit ends a transfer that hangs, even on a slow machine.
	transferLimit = 2 * time.Minute
)

// stream is the demo's test data.
type stream struct{ at uint64 }

func (s *stream) Read(b []byte) (int, error) {
	service.Fill(seed, s.at, b)
	s.at += uint64(len(b))
	return len(b), nil
}

func (s *show) files(ctx context.Context) (err error) {
	s.step(ctx, "Files", "ifuse mounts the phone's media folder; 64 MiB go in and come back.")
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		s.paragraph("", fmt.Sprintf("Left out, nobody can mount here, as in many containers: %v.", err))
		return nil
	}
	fuse.Close()
	const mount = "iphone"
	if err := os.Mkdir(s.path(mount), 0o700); err != nil {
		return err
	}
	if err := s.says(ctx, "", "ifuse", mount); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.says(context.WithoutCancel(ctx), "", "fusermount", "-u", mount))
	}()
	name := s.path(filepath.Join(mount, "Downloads", "demo.bin"))
	want, err := copySum(name, io.LimitReader(&stream{}, transfer), s.bar("to the phone", transfer))
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := copySum(s.path("back.bin"), f, s.bar("and back", transfer))
	if err != nil {
		return err
	}
	if err := compare(want, got); err != nil {
		return err
	}
	s.sameSum(got)
	return os.Remove(name)
}

// copySum writes src to a new file and returns the SHA-256 of it.
func copySum(name string, src io.Reader, b io.Writer) ([]byte, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.TeeReader(src, io.MultiWriter(sum, b)), make([]byte, 256<<10))
	return sum.Sum(nil), errors.Join(err, f.Close())
}

func compare(want, got []byte) error {
	if string(want) != string(got) {
		return fmt.Errorf("checksums differ: sent %x, got %x", want, got)
	}
	return nil
}

func (s *show) sameSum(sum []byte) {
	s.paragraph("", fmt.Sprintf("The same SHA-256 on both sides: %x...", sum[:8]))
}

func (s *show) forward(ctx context.Context) error {
	s.step(ctx, "TCP ports", "iproxy forwards local ports to ports of the phone: one takes 64 MiB, one sends as much.")
	if err := s.proxy(ctx, virtualphone.ChecksumPort, s.sink); err != nil {
		return err
	}
	return s.proxy(ctx, virtualphone.SourcePort, s.source)
}

// sink sends to a port that answers with the checksum of what it got.
func (s *show) sink(c net.Conn) error {
	if err := binary.Write(c, binary.BigEndian, uint64(transfer)); err != nil {
		return err
	}
	sum := sha256.New()
	src := io.TeeReader(io.LimitReader(&stream{}, transfer), io.MultiWriter(sum, s.bar("to the phone", transfer)))
	if _, err := io.CopyBuffer(struct{ io.Writer }{c}, src, make([]byte, 64<<10)); err != nil {
		return err
	}
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("the phone's checksum: %w", err)
	}
	return compare(sum.Sum(nil), got)
}

// source receives from a port that sends the test data.
func (s *show) source(c net.Conn) error {
	if err := binary.Write(c, binary.BigEndian, [2]uint64{transfer, seed}); err != nil {
		return err
	}
	want, got := sha256.New(), sha256.New()
	if _, err := io.CopyN(want, &stream{}, transfer); err != nil {
		return err
	}
	bar := s.bar("from the phone", transfer)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(got, bar)}, c, make([]byte, 64<<10))
	if err != nil || n != transfer {
		return fmt.Errorf("%d of %d bytes came: %v", n, transfer, err)
	}
	if err := compare(want.Sum(nil), got.Sum(nil)); err != nil {
		return err
	}
	s.sameSum(got.Sum(nil))
	return nil
}

// proxy runs use on a connection to the phone's port through iproxy.
func (s *show) proxy(ctx context.Context, port uint16, use func(net.Conn) error) error {
	local, err := freePort()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pair := fmt.Sprintf("%d:%d", local, port)
	s.typed("iproxy " + pair + " &")
	cmd := s.command(ctx, "stdbuf", "-oL", "iproxy", pair, "-u", s.udid)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // killed
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "waiting for connection") {
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(local)))
	if err != nil {
		return fmt.Errorf("iproxy: %w", err)
	}
	if err = c.SetDeadline(time.Now().Add(transferLimit)); err == nil {
		err = use(c)
	}
	c.Close()
	cancel()
	<-drained
	return err
}

// freePort is a local TCP port that nobody uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
