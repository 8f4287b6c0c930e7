package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"gomuxd/control/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	var report string
	cmd := &cobra.Command{
		Use:   "doctor [DEVICE]",
		Short: "Find out why a device does not work, and what to do",
		Long: `Doctor looks at everything between the cable and the trust of a device, in the
order in which a person would, and says what it found, what that means and what to
do. It ends with one verdict and a ladder of remedies, cheapest first. It needs no
daemon and no phone; as root it sees more.

Exit code 1 says that it found a problem. With --report it also writes a file for
a bug report, from which UDIDs, names and addresses are taken out.`,
		Example: `  muxctl doctor
  muxctl doctor "Anna's iPhone"
  sudo muxctl doctor --report report.txt`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := doctor.Options{Socket: a.address, Control: a.control}
			if len(args) == 1 {
				o.Device = args[0]
			}
			facts := a.gather(cmd.Context(), o)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			r := doctor.Judge(facts)
			if report != "" {
				var b bytes.Buffer
				if err := doctor.WriteReport(&b, facts, r); err != nil {
					return err
				}
				if err := writeNew(report, b.Bytes(), false); err != nil {
					return err
				}
			}
			if a.json {
				if err := a.printJSON(r); err != nil {
					return err
				}
			} else {
				s := a.style()
				if err := doctor.Render(a.stdout, r, doctor.Style{Width: s.width, Color: s.color}); err != nil {
					return err
				}
				if report != "" {
					fmt.Fprintf(a.stdout, "\nA report without UDIDs, names and addresses is in %s.\n", report)
				}
			}
			if r.Result == doctor.Problem {
				return silent(exitFailed)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&report, "report", "", "also write `FILE` for a bug report")
	return cmd
}
