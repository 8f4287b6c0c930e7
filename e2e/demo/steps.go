package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"
)

func (s *show) list(ctx context.Context) error {
	s.step("Is the phone there?", "The daemon lists it at once, before anyone has tapped Trust.")
	out, err := s.tool(ctx, "idevice_id", "-l")
	if err != nil {
		return err
	}
	fields := strings.Fields(out)
	if len(fields) == 0 {
		return fmt.Errorf("idevice_id -l lists no phone")
	}
	s.udid = fields[0]
	s.done("idevice_id lists %s", s.udid)
	return nil
}

func (s *show) pair(ctx context.Context) error {
	s.step("Trust This Computer?", "Pairing makes the phone ask its owner.")
	out, err := s.tool(ctx, "idevicepair", "pair")
	if err == nil {
		return fmt.Errorf("idevicepair pair succeeded although nobody has tapped Trust: %s", out)
	}
	if err := s.phone(ctx, "the phone shows the dialog", "wait", "dialog"); err != nil {
		return err
	}
	if err := s.phone(ctx, "its owner taps Trust", "tap", "trust"); err != nil {
		return err
	}
	if err := s.phone(ctx, "and enters the passcode", "passcode", "1234"); err != nil {
		return err
	}
	if _, err := s.tool(ctx, "idevicepair", "pair"); err != nil {
		return err
	}
	if _, err := s.tool(ctx, "idevicepair", "validate"); err != nil {
		return err
	}
	s.done("idevicepair pairs once Trust is tapped, and validates")
	return nil
}

func (s *show) query(ctx context.Context) error {
	s.step("Who is it?", "An encrypted session with the phone's lockdown service.")
	for _, key := range []string{"DeviceName", "ProductType", "ProductVersion", "UniqueDeviceID"} {
		out, err := s.tool(ctx, "ideviceinfo", "-k", key)
		if err != nil {
			return err
		}
		if out == "" || key == "UniqueDeviceID" && out != s.udid {
			return fmt.Errorf("ideviceinfo -k %s prints %q", key, out)
		}
	}
	s.done("ideviceinfo reads name, model, version and UDID")
	return nil
}

// events follows a listener's output.
type events struct {
	lines chan string // closed at its end
	stop  func()      // ends the listener and waits for it
}

// listen starts idevicesyslog, which says when its phone comes and goes.
func (s *show) listen(ctx context.Context) (*events, error) {
	ctx, cancel := context.WithCancel(ctx)
	// stdbuf: a line at a time, although it writes to a pipe.
	cmd := s.rig.Command(ctx, "stdbuf", "-oL", "idevicesyslog", "-u", s.udid)
	fmt.Println("   $ idevicesyslog -u", s.udid, "&")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	e := &events{lines: make(chan string, 1024)}
	done := make(chan struct{})
	e.stop = func() { cancel(); <-done }
	go func() { // stop waits
		defer close(done)
		defer close(e.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case e.lines <- lines.Text():
			default: // nobody reads that much
			}
		}
		_ = cmd.Wait() // killed by stop
	}()
	return e, nil
}

// await waits for a line that contains text.
func (e *events) await(text string) error {
	limit := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-e.lines:
			if !ok {
				return fmt.Errorf("the listener ended before it said %q", text)
			}
			if strings.Contains(line, text) {
				fmt.Println("   the listener says:", line)
				return nil
			}
		case <-limit:
			return fmt.Errorf("the listener did not say %q within 30 s", text)
		}
	}
}

func (s *show) replug(ctx context.Context) error {
	s.step("Unplug and replug", "A listening program hears of both, and the phone is still trusted.")
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer l.stop()
	if err := l.await("[connected"); err != nil {
		return err
	}
	if err := s.phone(ctx, "the cable is pulled", "unplug"); err != nil {
		return err
	}
	if err := l.await("[disconnected"); err != nil {
		return err
	}
	if out, err := s.rig.Run(ctx, "idevice_id", "-l"); out != "" {
		return fmt.Errorf("idevice_id -l still lists %q (%v)", out, err)
	}
	if err := s.phone(ctx, "and put back", "replug"); err != nil {
		return err
	}
	if err := l.await("[connected"); err != nil {
		return err
	}
	if _, err := s.tool(ctx, "idevicepair", "validate"); err != nil {
		return err
	}
	s.done("a listener sees unplug and replug; the phone is still trusted")
	return nil
}

func (s *show) untrust(ctx context.Context) error {
	s.step("Untrust", "The pairing is taken back; the phone no longer answers for this computer.")
	if _, err := s.tool(ctx, "idevicepair", "unpair"); err != nil {
		return err
	}
	if out, err := s.tool(ctx, "idevicepair", "validate"); err == nil {
		return fmt.Errorf("idevicepair validate succeeded after unpair: %s", out)
	}
	s.done("idevicepair unpair takes the trust back")
	return nil
}

// print3 prints a tool's output indented, its first lines only.
func print3(out string) {
	if out == "" {
		return
	}
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		if i == 6 {
			fmt.Printf("     ... %d more lines\n", len(lines)-i)
			return
		}
		fmt.Println("     " + line)
	}
}
