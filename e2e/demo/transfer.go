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

// bar draws the progress of a transfer on one line.
type bar struct {
	title string
	start time.Time
	done  int64
	drawn int64
}

func newBar(title string) *bar { return &bar{title: title, start: time.Now()} }

// Write implements io.Writer, to count what goes by.
func (b *bar) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if b.done-b.drawn >= transfer/40 || b.done == transfer {
		b.drawn = b.done
		const width = 32
		full := int(b.done * width / transfer)
		rate := float64(b.done) / (1 << 20) / time.Since(b.start).Seconds()
		fmt.Printf("\r   %-24s [%s%s] %3d %%  %5.0f MiB/s", b.title,
			strings.Repeat("#", full), strings.Repeat(".", width-full), b.done*100/transfer, rate)
		if b.done == transfer {
			fmt.Println()
		}
	}
	return len(p), nil
}

func (s *show) files(ctx context.Context) (err error) {
	s.step("Files", "ifuse mounts the phone's media folder; 64 MiB go in and come back.")
	mount := s.path("mount")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	if _, err := s.tool(ctx, "ifuse", mount); err != nil {
		return err
	}
	defer func() {
		fmt.Println("   $ fusermount -u", mount)
		_, uerr := s.rig.Run(context.WithoutCancel(ctx), "fusermount", "-u", mount)
		err = errors.Join(err, uerr)
	}()
	name := filepath.Join(mount, "Downloads", "demo.bin")
	want, err := copySum(name, io.LimitReader(&stream{}, transfer), newBar("to the phone"))
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := copySum(s.path("back.bin"), f, newBar("back"))
	if err != nil {
		return err
	}
	if err := compare(want, got); err != nil {
		return err
	}
	s.done("ifuse copies 64 MiB to the phone and back, same checksum")
	return os.Remove(name)
}

// copySum writes src to a new file and returns the SHA-256 of it.
func copySum(name string, src io.Reader, b *bar) ([]byte, error) {
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
	fmt.Printf("   SHA-256 %x... on both sides\n", got[:8])
	return nil
}

func (s *show) sink(ctx context.Context) error {
	s.step("A TCP port, upwards", "iproxy forwards a local port to one of the phone, which takes 64 MiB.")
	return s.forward(ctx, virtualphone.ChecksumPort, func(c net.Conn) error {
		if err := binary.Write(c, binary.BigEndian, uint64(transfer)); err != nil {
			return err
		}
		sum := sha256.New()
		src := io.TeeReader(io.LimitReader(&stream{}, transfer), io.MultiWriter(sum, newBar("through iproxy, up")))
		if _, err := io.CopyBuffer(struct{ io.Writer }{c}, src, make([]byte, 64<<10)); err != nil {
			return err
		}
		got := make([]byte, sha256.Size)
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("the phone's checksum: %w", err)
		}
		s.done("64 MiB through iproxy to the phone, same checksum")
		return compare(sum.Sum(nil), got)
	})
}

func (s *show) source(ctx context.Context) error {
	s.step("A TCP port, downwards", "and one that sends 64 MiB.")
	return s.forward(ctx, virtualphone.SourcePort, func(c net.Conn) error {
		if err := binary.Write(c, binary.BigEndian, [2]uint64{transfer, seed}); err != nil {
			return err
		}
		want, got := sha256.New(), sha256.New()
		if _, err := io.CopyN(want, &stream{}, transfer); err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(got, newBar("through iproxy, down"))}, c, make([]byte, 64<<10))
		if err != nil || n != transfer {
			return fmt.Errorf("%d of %d bytes came: %v", n, transfer, err)
		}
		s.done("64 MiB through iproxy from the phone, same checksum")
		return compare(want.Sum(nil), got.Sum(nil))
	})
}

// forward runs use on a connection to the phone's port through iproxy.
func (s *show) forward(ctx context.Context, port uint16, use func(net.Conn) error) error {
	local, err := freePort()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pair := fmt.Sprintf("%d:%d", local, port)
	fmt.Println("   $ iproxy", pair, "&")
	cmd := s.rig.Command(ctx, "stdbuf", "-oL", "iproxy", pair, "-u", s.udid)
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
