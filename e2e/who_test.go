package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/socket/client"
	"gomuxd/virtualphone"
)

// asking is the variable that makes the test's program a client, with its questions.
const asking = "GOMUXD_E2E_ASK"

// questions are a client's, as JSON in the variable asking.
type questions struct {
	Socket  string
	Control string
	Phones  []asked
}

// asked is a phone that a client asks about, also if it is hidden from it.
type asked struct {
	UDID   string
	ID     uint32
	Record []byte // that it saves
}

// verbs are what a client asks of each phone, in the order of its answers.
const verbs = "list lockdown echo read save delete operate"

// inquire prints a line of answers for each phone. An answer is "yes", "no", or the number
// of a Result that is not 0.
func inquire(text string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var q questions
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range q.Phones {
		c, err := client.Dial(ctx, "UNIX:"+q.Socket)
		if err != nil {
			fmt.Println(err)
			continue
		}
		all, err := c.ListDevices(ctx)
		list := answer(err)
		if err == nil {
			list = "no"
			for _, d := range all {
				if d.UDID == p.UDID && d.ID == p.ID {
					list = "yes"
				}
			}
		}
		connect := func(port uint16) string {
			conn, err := c.Connect(ctx, p.ID, port)
			if err == nil {
				conn.Close()
			}
			return answer(err)
		}
		answers := []string{list, connect(lockdown.Port), connect(virtualphone.EchoPort)}
		_, err = c.ReadPairRecord(ctx, p.UDID)
		answers = append(answers, answer(err),
			answer(c.SavePairRecord(ctx, p.UDID, p.Record, p.ID)), answer(c.DeletePairRecord(ctx, p.UDID)))
		// There is no such copy: whoever may ask for it hears of that.
		operate, refusal := "no", (*control.Error)(nil)
		if err := control.Dial(q.Control).Restore(ctx, p.UDID, "20000101T000000Z"); errors.As(err, &refusal) && refusal.Code != control.CodeForbidden {
			operate = "yes"
		} else if refusal == nil {
			operate = fmt.Sprint(err)
		}
		fmt.Println(strings.Join(append(answers, operate), " "))
		c.Close()
	}
}

func answer(err error) string {
	var refused *client.ResultError
	switch {
	case err == nil:
		return "yes"
	case errors.As(err, &refused):
		return fmt.Sprint(refused.Number)
	}
	return err.Error()
}

// TestWhoMayWhat asks each request, about each of two phones, on each of two sockets,
// in processes of other users, under the rules of a file and each profile behind them.
func TestWhoMayWhat(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be others")
	}
	const (
		all    = "yes yes yes yes yes yes yes"
		people = "yes yes yes yes yes yes no" // people's, by the default profile
		others = "yes yes yes 13 13 13 no"
		none   = "no 2 2 13 13 13 no"  // hidden
		rooted = "no 2 2 13 13 13 yes" // so, but who may operate: there is one control socket for all
		mates  = 4321                  // a group that may everything
	)
	type want struct{ first, second string } // phone
	rules := fmt.Sprintf(`
[[socket]]
listen = %%q
devices = [%[2]q]
[[access.rule]]
who = ["uid:33"]
sockets = [%%[1]q]
may = ["records"]
[[access.rule]]
who = ["gid:%[3]d"]
may = ["everything"]
[[access.rule]]
who = ["uid:1001"]
devices = [%[1]q]
may_not = ["list"]
[[access.rule]]
who = ["uid:34"]
devices = [%[1]q]
may = ["read-records"]
[[access.rule]]
who = ["uid:33"]
devices = [%[1]q]
may_not = ["connect"]
[[access.rule]]
who = ["uid:10"]
ports = ["62078"]
may = ["list", "connect"]
[[access.rule]]
who = ["uid:10"]
may_not = ["everything"]
`, firstPhone, secondPhone, mates)
	for profile, identities := range map[string][]struct {
		name      string
		uid, gid  uint32
		main, one want // on the main socket, on that of the second phone
	}{
		"default": {
			{"root", 0, 0, want{all, all}, want{rooted, all}},
			{"person", 1000, 1000, want{people, people}, want{none, people}},
			{"person from whom one phone is hidden", 1001, 1001, want{"no 2 2 yes yes yes no", people}, want{none, people}},
			{"service that one phone is closed to", 33, 33, want{"yes 3 3 13 13 13 no", others}, want{none, people}},
			{"service that may read one record", 34, 34, want{"yes yes yes yes 13 13 no", others}, want{none, others}},
			{"service that may reach one port", 10, 10, want{"yes yes 3 13 13 13 no", "yes yes 3 13 13 13 no"}, want{none, "yes yes 3 13 13 13 no"}},
			{"service in a group with rights", 39, mates, want{all, all}, want{rooted, all}},
			{"nobody", 65534, 65534, want{others, others}, want{none, others}},
		},
		"strict": {
			{"root", 0, 0, want{all, all}, want{rooted, all}},
			{"person", 1000, 1000, want{none, none}, want{none, none}},
			{"service that may read one record", 34, 34, want{"no 2 2 yes 13 13 no", none}, want{none, none}},
			{"service in a group with rights", 39, mates, want{all, all}, want{rooted, all}},
			{"nobody", 65534, 65534, want{none, none}, want{none, none}},
		},
	} {
		t.Run(profile, func(t *testing.T) {
			dir := t.TempDir()
			passable(t, dir)
			one, config := filepath.Join(dir, "one"), filepath.Join(dir, "conf")
			text := fmt.Sprintf("[access]\nprofile = %q\n", profile) + fmt.Sprintf(rules, one)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, e2e.Config{Phones: 2, Args: []string{"--config", config}})
			passable(t, r.Dir)
			phones := trusted(t, r)
			program := filepath.Join(dir, "client") // the test's own may be out of others' reach
			if self, err := os.ReadFile("/proc/self/exe"); err != nil {
				t.Fatal(err)
			} else if err := os.WriteFile(program, self, 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := client.Dial(limit(t), "UNIX:"+r.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			for _, who := range identities {
				for socket, want := range map[string]want{r.Socket: who.main, one: who.one} {
					for _, p := range phones {
						if err := root.SavePairRecord(limit(t), p.UDID, p.Record, p.ID); err != nil {
							t.Fatal(err)
						}
					}
					q, err := json.Marshal(questions{Socket: socket, Control: r.Control(), Phones: phones})
					if err != nil {
						t.Fatal(err)
					}
					cmd := exec.CommandContext(limit(t), program)
					cmd.Env = []string{asking + "=" + string(q)}
					cmd.Dir = "/"
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.uid, Groups: []uint32{who.gid}}}
					out, err := cmd.CombinedOutput()
					if got := strings.TrimSpace(string(out)); err != nil || got != want.first+"\n"+want.second {
						t.Errorf("%s on %s: %s\n%s\nwant\n%s\n%s\n%v", who.name, filepath.Base(socket), verbs, got, want.first, want.second, err)
					}
				}
			}
		})
	}
}

// trusted has both phones trust the computer.
func trusted(t *testing.T, r *e2e.Rig) []asked {
	t.Helper()
	awaitBoth(t, r, trust.DialogShown)
	phones := []asked{{UDID: firstPhone}, {UDID: secondPhone}}
	for _, p := range phones {
		phone(t, r, "--phone", p.UDID, "tap", "trust")
	}
	listed := awaitBoth(t, r, trust.Trusted)
	for i := range phones {
		p := &phones[i]
		var err error
		if p.Record, err = os.ReadFile(filepath.Join(r.Records, p.UDID+".plist")); err != nil {
			t.Fatal(err)
		}
		p.ID = listed[p.UDID]
	}
	return phones
}

// awaitBoth waits until both phones are in a state of trust, and returns their ids.
func awaitBoth(t *testing.T, r *e2e.Rig, want trust.State) map[string]uint32 {
	t.Helper()
	done, ids := errors.New("there"), make(map[string]uint32)
	err := control.Dial(r.Control()).Watch(limit(t), func(ev control.Event) error {
		if ev.Type == control.DeviceRemoved || ev.Type == control.Ready || ev.Device.DeviceID == nil {
			return nil
		}
		if trust.State(ev.Device.Trust) == want {
			ids[*ev.Device.UDID] = *ev.Device.DeviceID
		}
		if len(ids) == 2 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("want both phones %s, got %v: %v\n%s", want, ids, err, r.Log())
	}
	return ids
}
