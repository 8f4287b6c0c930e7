package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
	"gomuxd/plist"
)

func (a *app) recordsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "records",
		Short: "See, keep, move and restore pair records",
		Long: `A pair record is this computer's half of the trust between it and a device. It
holds private keys: whoever has it reaches the device. No command shows them;
export writes them into a sealed file only.`,
		Example: `  muxctl records list
  muxctl records export 00008110 --recipient age1...
  muxctl records restore 00008110`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return usagef("no command given") },
	}
	cmd.AddCommand(a.recordsList(), a.recordsShow(), a.recordsRestore(), a.recordsExport(), a.recordsImport())
	return cmd
}

func (a *app) recordsList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the pair records of this computer",
		Example: "  muxctl records list\n  muxctl records list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.api()
			records, err := c.Records(cmd.Context())
			if err != nil {
				return lacking(err, "listing pair records")
			}
			if a.json {
				if records == nil {
					records = []control.Record{}
				}
				return a.printJSON(records)
			}
			if len(records) == 0 {
				fmt.Fprintln(a.stdout, "There is no pair record: no device is trusted.")
				return nil
			}
			names := make(map[string]string)
			if devices, err := c.Devices(cmd.Context()); err == nil {
				for _, d := range devices {
					names[plainUDID(udidOf(d))] = title(d)
				}
			}
			showRecords(a.stdout, records, names, a.now(), a.style())
			return nil
		},
	}
}

func showRecords(w io.Writer, records []control.Record, names map[string]string, now time.Time, s style) {
	columns := []*column{{head: "UDID"}, {head: "NAME", drop: 4}, {head: "SAVED", drop: 3}, {head: "LAST USED", drop: 2}, {head: "EXPIRES", drop: 1}, {head: "COPIES", drop: 5}}
	notes := make([]string, len(records))
	for i, r := range records {
		used, expires, copies := "unknown", "", ""
		if r.LastUsed != nil {
			used = dateText(*r.LastUsed)
		}
		if r.ExpiresInDays != nil {
			expires = days(*r.ExpiresInDays)
		}
		if len(r.Copies) > 0 {
			copies = fmt.Sprint(len(r.Copies))
		}
		saved := dateText(r.Saved)
		if r.SetAside {
			saved, used = "set aside", ""
		}
		for c, text := range []string{r.UDID, names[plainUDID(r.UDID)], saved, used, expires, copies} {
			columns[c].cells = append(columns[c].cells, oneLine(text))
		}
		notes[i] = oneLine(strings.Join(problems(r), "; "))
	}
	columns[0].paint = func(int) string { return bold }
	showTable(w, columns, "PROBLEM", notes, s)
}

// problems is what is wrong with a record.
func problems(r control.Record) []string {
	if r.SetAside {
		return []string{fmt.Sprintf("not in use; \"muxctl records restore %s\" brings it back", r.UDID)}
	}
	var all []string
	if r.Problem != "" {
		all = append(all, r.Problem)
	}
	if !r.BUIDMatches && r.SystemBUID != "" {
		all = append(all, "made by another computer (its BUID differs)")
	}
	if !r.HasEscrowBag && r.Problem == "" {
		all = append(all, "no escrow bag, so it does not work while the device is locked")
	}
	return all
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func (a *app) recordsShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show DEVICE",
		Short:             "Show a pair record, without its secrets",
		Example:           "  muxctl records show 00008110\n  muxctl records show \"Anna's iPhone\" --json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRecords,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.record(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			showRecord(a.stdout, r, a.style())
			return nil
		},
	}
}

// record returns a record without its secrets, from whichever socket answers.
func (a *app) record(ctx context.Context, ref string) (control.Record, error) {
	r, err := a.api().Record(ctx, ref)
	if err == nil || !noControl(err) {
		return r, err
	}
	s, err := a.connect(ctx, err, "when the record was saved and used, and its earlier versions, are unknown")
	if err != nil {
		return control.Record{}, err
	}
	defer s.Close()
	udid, _, err := a.plainRef(ctx, s, ref)
	if err != nil {
		return control.Record{}, err
	}
	data, err := s.ReadPairRecord(ctx, udid)
	if err != nil {
		return control.Record{}, readError(udid, err)
	}
	buid, err := s.ReadBUID(ctx)
	if err != nil {
		return control.Record{}, err
	}
	f, err := readFacts(data)
	if err != nil {
		return control.Record{UDID: udid, Problem: err.Error(), Copies: []control.Copy{}}, nil
	}
	return control.Record{
		UDID: udid, HostID: f.HostID, SystemBUID: f.SystemBUID, BUIDMatches: f.SystemBUID == buid,
		HasEscrowBag: len(f.EscrowBag) > 0, WiFiAddress: f.WiFiMACAddress, Copies: []control.Copy{},
	}, nil
}

// plainRef returns the UDID that ref means, and the device's id if it is plugged
// in, by the usbmuxd socket alone.
func (a *app) plainRef(ctx context.Context, s usbmuxd, ref string) (udid string, id uint32, err error) {
	list, err := s.ListDevices(ctx)
	if err != nil {
		return "", 0, err
	}
	devices := make([]control.Device, len(list))
	byID := func() (control.Device, error) { return find(devices, ref) }
	for i, d := range list {
		devices[i] = control.Device{DeviceID: &d.ID, UDID: &d.UDID, Connection: d.Connection}
	}
	d, err := byID()
	if err != nil && !looksLikeUDID(ref) {
		// It may be a name, which only the phones know.
		for i, d := range list {
			devices[i].Name, _, _, _ = introduce(ctx, s, d.ID)
		}
		d, err = byID()
	}
	if err == nil {
		return *d.UDID, *d.DeviceID, nil
	}
	if looksLikeUDID(ref) {
		return canonicalUDID(ref), 0, nil
	}
	return "", 0, err
}

// looksLikeUDID reports whether s can be a whole UDID.
func looksLikeUDID(s string) bool {
	plain := plainUDID(s)
	if len(plain) < 16 || len(plain) > 64 || len(s) > len(plain)+4 || s[0] == '-' {
		return false
	}
	return strings.Trim(plain, "0123456789abcdef") == ""
}

// canonicalUDID is a UDID as usbmuxd has it: with a hyphen if it has 24 digits.
func canonicalUDID(s string) string {
	if len(s) == 24 && !strings.Contains(s, "-") {
		return s[:8] + "-" + s[8:]
	}
	return s
}

func readError(udid string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return control.Errorf(control.CodeNoRecord, "there is no pair record of %s: \"muxctl trust\" asks for one", udid)
	}
	return err
}

func showRecord(w io.Writer, r control.Record, s style) {
	buid := r.SystemBUID
	if buid != "" {
		if r.BUIDMatches {
			buid += " (this computer's)"
		} else {
			buid += " (not this computer's: made by another one, or SystemConfiguration.plist was lost)"
		}
	}
	escrow := "yes: works while the device is locked"
	if !r.HasEscrowBag {
		escrow = "no: works while the device is unlocked only"
	}
	facts := []fact{{key: "Host ID", value: r.HostID}, {key: "BUID", value: buid}, {key: "Escrow bag", value: escrow}, {key: "Wi-Fi", value: r.WiFiAddress}}
	if r.SetAside {
		facts = []fact{{key: "In use", value: "no: it is set aside"}}
	}
	if !r.Saved.IsZero() {
		facts = append(facts, fact{key: "Saved", value: dateText(r.Saved)})
		used := "not since this is kept"
		if r.LastUsed != nil {
			used = dateText(*r.LastUsed)
		}
		facts = append(facts, fact{key: "Last used", value: used})
	}
	if r.ExpiresInDays != nil {
		facts = append(facts, fact{key: "Expires", value: days(*r.ExpiresInDays) + " if it is not used (an estimate)"})
	}
	if r.Problem != "" {
		facts = append(facts, fact{key: "Problem", value: r.Problem, paint: red})
	}
	for i, c := range r.Copies {
		what := fmt.Sprintf("%s, %s, %s", c.ID, dateText(c.Replaced), c.Reason)
		if !c.HasEscrowBag {
			what += ", no escrow bag"
		}
		name := "Earlier"
		if i > 0 {
			name = "and"
		}
		facts = append(facts, fact{key: name, value: what})
	}
	showSheet(w, oneLine(r.UDID), facts, s)
}

func (a *app) recordsRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore DEVICE [COPY]",
		Short: "Make an earlier version of a pair record the present one",
		Long: `Restore brings back a version of a pair record that was replaced or set aside.
"muxctl records show DEVICE" lists them. Without COPY it is the only one. The
present record, if there is one, is kept as a copy.

A device that has forgotten this computer does not know an earlier record either.`,
		Example:           "  muxctl records show 00008110\n  muxctl records restore 00008110 20261124T101500Z",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeCopies,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c := cmd.Context(), a.api()
			r, err := c.Record(ctx, args[0])
			if err != nil {
				return lacking(err, "restoring a pair record")
			}
			var id string
			switch {
			case len(args) == 2:
				id = args[1]
				if !slices.ContainsFunc(r.Copies, func(c control.Copy) bool { return c.ID == id }) {
					return codef(exitNoSuch, "there is no copy %q of the pair record of %s; %s", id, r.UDID, copies(r))
				}
			case len(r.Copies) == 1:
				id = r.Copies[0].ID
			case len(r.Copies) == 0:
				return codef(exitNoSuch, "there is no earlier version of the pair record of %s: \"muxctl trust\" asks for a new one", r.UDID)
			default:
				return usagef("say which version; %s", copies(r))
			}
			if err := c.Restore(ctx, r.UDID, id); err != nil {
				return err
			}
			if a.json {
				if r, err = c.Record(ctx, r.UDID); err != nil {
					return err
				}
				return a.printJSON(r)
			}
			fmt.Fprintf(a.stdout, "The pair record of %s is the version %s again.\n", r.UDID, id)
			return nil
		},
	}
}

func copies(r control.Record) string {
	if len(r.Copies) == 0 {
		return "there are none"
	}
	var ids []string
	for _, c := range r.Copies {
		ids = append(ids, fmt.Sprintf("%s (%s)", c.ID, c.Reason))
	}
	return "there are " + strings.Join(ids, ", ")
}

// recordFacts are the parts of a record that are looked at. Only recordFacts of
// the same process are compared; none is printed but HostID, SystemBUID and the
// Wi-Fi address.
type recordFacts struct {
	DeviceCertificate []byte
	EscrowBag         []byte
	HostCertificate   []byte
	HostID            string
	HostPrivateKey    []byte
	RootCertificate   []byte
	SystemBUID        string
	WiFiMACAddress    string
}

// Format prints nothing but the host's id, for every verb.
func (f recordFacts) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "pair record of host %q", f.HostID) }

func readFacts(data []byte) (recordFacts, error) {
	var f recordFacts
	if err := plist.Unmarshal(data, &f); err != nil {
		return recordFacts{}, fmt.Errorf("no pair record: %w: give a file that \"muxctl records export\" has written", err)
	}
	if f.HostID == "" {
		return recordFacts{}, errors.New("no pair record, as it has no HostID: give a file that \"muxctl records export\" has written")
	}
	return f, nil
}
