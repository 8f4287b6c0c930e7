package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) recordsExport() *cobra.Command {
	var (
		k          keys
		output     string
		all, force bool
	)
	cmd := &cobra.Command{
		Use:   "export DEVICE... | --all",
		Short: "Write pair records into one file, sealed with age",
		Long: `Export writes pair records and this computer's BUID into one file that is sealed
for age public keys, or with a passphrase. What is in it can be read with "age -d"
and brought back with "muxctl records import".

The records come from the usbmuxd socket, so this works with any usbmuxd. --all
needs the control socket, or means the devices that are plugged in.`,
		Example: `  muxctl records export 00008110 --recipient age1...
  muxctl records export --all --passphrase-file secret.txt -o phones.age`,
		ValidArgsFunction: a.completeRecords,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef("either devices or --all")
			case !all && len(args) == 0:
				return usagef("name a device, or give --all")
			case output == "-" && a.isTerminal(a.stdout):
				return usagef("a sealed file is not for a terminal: give -o FILE")
			}
			ctx := cmd.Context()
			e, err := a.readRecords(ctx, args, all)
			if err != nil {
				return err
			}
			sealers, err := a.sealers(k)
			if err != nil {
				return err
			}
			sealed, err := seal(e, sealers...)
			if err != nil {
				return err
			}
			if output == "-" {
				_, err := a.stdout.Write(sealed)
				return err
			}
			if output == "" {
				output = "pair-records.age"
				if len(e.Records) == 1 {
					output = e.Records[0].UDID + ".pairrecord.age"
				}
			}
			if err := writeNew(output, sealed, force); err != nil {
				return err
			}
			if a.json {
				udids := []string{}
				for _, r := range e.Records {
					udids = append(udids, r.UDID)
				}
				return a.printJSON(map[string]any{"file": output, "udids": udids})
			}
			fmt.Fprintf(a.stdout, "%s sealed in %s.\n", plural(len(e.Records), "pair record"), output)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&all, "all", false, "all pair records of this computer")
	flags.StringVarP(&output, "output", "o", "", "write `FILE`, - for standard output; default UDID.pairrecord.age")
	flags.StringArrayVarP(&k.recipients, "recipient", "r", nil, "seal for the age public `KEY` (age1...); may be repeated")
	flags.StringVar(&k.passphraseFile, "passphrase-file", "", "seal with the passphrase in the first line of `FILE`, - for standard input; default: ask")
	flags.BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

// writeNew writes a file for its owner alone.
func writeNew(name string, data []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(name, how, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: give another name with -o, or --force", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}

// readRecords reads records and the BUID.
func (a *app) readRecords(ctx context.Context, refs []string, all bool) (export, error) {
	s, err := a.usbmuxd(ctx)
	if err != nil {
		return export{}, err
	}
	defer s.Close()
	c := a.api()
	var udids []string
	if all {
		records, err := c.Records(ctx)
		switch {
		case err == nil:
			for _, r := range records {
				if !r.SetAside {
					udids = append(udids, r.UDID)
				}
			}
		case noControl(err):
			a.tell(err, "records of devices that are not plugged in are left out")
			if udids, err = pluggedIn(ctx, s); err != nil {
				return export{}, err
			}
		default:
			return export{}, err
		}
	}
	for _, ref := range refs {
		r, err := c.Record(ctx, ref)
		if err != nil {
			// Whoever may not list records through the one socket may read them
			// through the other, as every client of usbmuxd can.
			udid, _, perr := a.plainRef(ctx, s, ref)
			if perr != nil {
				if exitCode(err) == exitNoSuch {
					return export{}, err
				}
				return export{}, perr
			}
			r.UDID = udid
		}
		udids = append(udids, r.UDID)
	}
	e := export{Format: exportFormat, Version: exportVersion, Exported: a.now().UTC()}
	if e.BUID, err = s.ReadBUID(ctx); err != nil {
		return export{}, err
	}
	seen := make(map[string]bool)
	for _, udid := range udids {
		if seen[plainUDID(udid)] {
			continue
		}
		seen[plainUDID(udid)] = true
		data, err := s.ReadPairRecord(ctx, udid)
		if err != nil {
			if all && len(udids) > 1 {
				fmt.Fprintf(a.stderr, "muxctl: left out: %v\n", oneLine(readError(udid, err).Error()))
				continue
			}
			return export{}, readError(udid, err)
		}
		e.Records = append(e.Records, exported{udid, data})
	}
	if len(e.Records) == 0 {
		return export{}, codef(exitNoSuch, "there is no pair record to export: \"muxctl trust\" asks for one")
	}
	return e, nil
}

func pluggedIn(ctx context.Context, s usbmuxd) ([]string, error) {
	list, err := s.ListDevices(ctx)
	if err != nil {
		return nil, err
	}
	var udids []string
	for _, d := range list {
		if _, err := s.ReadPairRecord(ctx, d.UDID); err == nil {
			udids = append(udids, d.UDID)
		}
	}
	return udids, nil
}

func (a *app) recordsImport() *cobra.Command {
	var (
		k     keys
		force bool
	)
	cmd := &cobra.Command{
		Use:   "import FILE [UDID...]",
		Short: "Bring pair records back from a sealed file",
		Long: `Import unseals a file that export has written, checks the records in it, and gives
them to the daemon through the usbmuxd socket: all, or those named.

It does not take the place of a record with an escrow bag by one without, nor of
one of another pairing: the record that is here is the one that works. --force
does it nevertheless, and takes a record that looks broken.

Records belong to the computer that made them, by its BUID. On another computer
a device may not accept them; import says so and goes on.`,
		Example: `  muxctl records import phones.age --identity key.txt
  muxctl records import phones.age 00008110 --passphrase-file secret.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sealed, err := readBounded(args[0], maxExport)
			if err != nil {
				return err
			}
			openers, err := a.openers(k, sealed)
			if err != nil {
				return err
			}
			e, err := unseal(sealed, openers...)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			chosen, err := choose(e.Records, args[1:])
			if err != nil {
				return err
			}
			return a.bringIn(cmd.Context(), e.BUID, chosen, force)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&k.identities, "identity", "i", nil, "unseal with the age secret key in `FILE`; may be repeated")
	flags.StringVar(&k.passphraseFile, "passphrase-file", "", "unseal with the passphrase in the first line of `FILE`, - for standard input; default: ask")
	flags.BoolVar(&force, "force", false, "overwrite what is fuller, or of another pairing; take what looks broken")
	return cmd
}

// choose picks the records that are named, all if none is.
func choose(records []exported, refs []string) ([]exported, error) {
	if len(refs) == 0 {
		return records, nil
	}
	devices := make([]control.Device, len(records))
	for i := range records {
		devices[i].UDID = &records[i].UDID
	}
	var chosen []exported
	for _, ref := range refs {
		d, err := find(devices, ref)
		if err != nil {
			return nil, codef(exitNoSuch, "the file holds no single record %q: name one of those it holds, %s", ref, enumerate(devices))
		}
		for _, r := range records {
			if r.UDID == *d.UDID {
				chosen = append(chosen, r)
			}
		}
	}
	return chosen, nil
}

// imported is what became of one record.
type imported struct {
	UDID    string `json:"udid"`
	Result  string `json:"result"` // "saved", "present" or "refused"
	Message string `json:"message"`
}

// bringIn saves records. One that is refused does not keep the others out.
func (a *app) bringIn(ctx context.Context, buid string, records []exported, force bool) error {
	s, err := a.usbmuxd(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	list, err := s.ListDevices(ctx)
	if err != nil {
		return err
	}
	ids := make(map[string]uint32)
	for _, d := range list {
		ids[plainUDID(d.UDID)] = d.ID
	}
	own, err := s.ReadBUID(ctx)
	if err != nil {
		return err
	}
	results := []imported{}
	var failure error
	for _, r := range records {
		result, err := a.bringOne(ctx, s, r, own, buid, ids[plainUDID(r.UDID)], force)
		if err != nil {
			result = imported{r.UDID, "refused", err.Error()}
			if !a.json {
				fmt.Fprintf(a.stderr, "muxctl: %s: %s\n", r.UDID, oneLine(err.Error()))
			}
			failure = silent(exitCode(err))
		} else if !a.json {
			fmt.Fprintf(a.stdout, "%s: %s\n", r.UDID, result.Message)
		}
		results = append(results, result)
	}
	if a.json {
		if err := a.printJSON(results); err != nil {
			return err
		}
	}
	return failure
}

func (a *app) bringOne(ctx context.Context, s usbmuxd, r exported, own, theirs string, id uint32, force bool) (imported, error) {
	f, err := readFacts(r.Record)
	if err != nil {
		return imported{}, err
	}
	if err := f.check(); err != nil && !force {
		return imported{}, fmt.Errorf("the record looks broken: %w; --force takes it nevertheless", err)
	}
	old, err := s.ReadPairRecord(ctx, r.UDID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return imported{}, err
	case bytes.Equal(old, r.Record):
		return imported{r.UDID, "present", "the same record is here already"}, nil
	case !force:
		o, err := readFacts(old)
		switch {
		case err != nil: // of no use
		case len(o.EscrowBag) > 0 && len(f.EscrowBag) == 0:
			return imported{}, errors.New("the record that is here has an escrow bag, this one has none; --force takes it nevertheless")
		case o.HostID != f.HostID:
			return imported{}, errors.New("the record that is here is of another pairing, which is likely the one that the device knows; --force takes this one nevertheless")
		}
	}
	if f.SystemBUID == "" {
		f.SystemBUID = theirs
	}
	if f.SystemBUID != own {
		fmt.Fprintf(a.stderr, "muxctl: warning: %s: the record was made by another computer (BUID %s, here %s): the device may ask for trust again\n",
			r.UDID, oneLine(f.SystemBUID), oneLine(own))
	}
	if err := s.SavePairRecord(ctx, r.UDID, r.Record, id); err != nil {
		return imported{}, err
	}
	now, still, err := a.tried(ctx, s, r.UDID, id != 0)
	if errors.Is(err, fs.ErrNotExist) {
		return imported{}, codef(exitRefused, "the daemon took the record, tried it and set it aside: the device does not know it any more; ask for trust anew with \"muxctl trust %s\"", r.UDID)
	}
	if err != nil {
		return imported{}, fmt.Errorf("read it back: %w", err)
	}
	if n, err := readFacts(now); err != nil || n.HostID != f.HostID || len(n.EscrowBag) != len(f.EscrowBag) {
		return imported{}, errors.New("the daemon says that it has saved the record, but gives another one: try again, as a client may have saved its own")
	}
	message := "saved"
	if still != "" {
		message = fmt.Sprintf("saved; the device has not accepted it yet (%s): see \"muxctl status %s\"", oneLine(still), r.UDID)
	}
	return imported{r.UDID, "saved", message}, nil
}

// tried returns a record as it is once the daemon has tried it with the device,
// if that is here, and the device's trust state if that was not done in time. The
// C daemon does not try.
func (a *app) tried(ctx context.Context, s usbmuxd, udid string, here bool) (data []byte, still string, err error) {
	short, cancel := context.WithTimeout(ctx, a.trial)
	defer cancel()
	for {
		data, err = s.ReadPairRecord(ctx, udid)
		if err != nil || !here {
			return data, "", err
		}
		d, err := a.api().Device(short, udid)
		if err == nil {
			still = d.Trust
		}
		if err != nil && short.Err() == nil || good(d) {
			return data, "", nil
		}
		if !pause(short, a.lull) {
			return data, still, nil
		}
	}
}
