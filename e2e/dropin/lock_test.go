package dropin_test

import (
	"slices"
	"syscall"
	"testing"
)

func init() {
	bodies["lock"] = holdAndAsk
	bodies["two"] = secondOfTwo
}

// holdAndAsk has the daemon under test hold the pid file, and the other one find
// it there and ask it for everything that can be asked for.
func holdAndAsk(b *box) {
	p := b.serves([]string{"-fvvz"})
	if b.holder(pidPath) != p.cmd.Process.Pid || b.pid(pidPath) != p.cmd.Process.Pid {
		b.fail("the pid file is not the daemon's")
	}
	b.exitsOf(otherPath, []string{"-f"})
	p.goesOn()
	b.exitsOf(otherPath, []string{"-n"})
	p.says("asked to look for phones", "Caught SIGUSR2")
	p.goesOn()
	b.exitsOf(otherPath, []string{"-x"})
	p.ends()

	p = b.serves([]string{"-fvv"}) // over the file that the first has left
	b.exitsOf(otherPath, []string{"-x"})
	p.says("--enable-exit")
	p.goesOn()
	b.exitsOf(otherPath, []string{"-X"})
	p.ends()
	b.exitsOf(otherPath, []string{"-X"}) // nobody
	b.file(pidPath)
}

// secondOfTwo swaps the daemons while none runs, as an administrator does. The
// identity that phones know this computer by stays.
func secondOfTwo(b *box) {
	identity := ""
	for _, program := range []string{daemonPath, otherPath, daemonPath} {
		p := b.launchOf(program, []string{"-f"})
		b.await("it serves", func() bool { return answers("unix", socketPath) == nil })
		if b.holder(pidPath) != p.cmd.Process.Pid || b.pid(pidPath) != p.cmd.Process.Pid {
			b.fail("the pid file is not that of %s", program)
		}
		if got := buid(b); identity != "" && got != identity {
			b.fail("%s has another identity:\n%s\nit was\n%s", program, got, identity)
		} else {
			identity = got
		}
		p.gets(syscall.SIGTERM)
		p.ends()
	}
}

// TestPidLock asserts that either daemon finds the other one by the pid file.
func TestPidLock(t *testing.T) {
	c := theirs()
	if c == "" {
		t.Skip("there is no C usbmuxd; make setup unpacks Debian's")
	}
	quiet := []string{"exit 0", "prints nothing", "complains in no line"}
	for _, tt := range []struct{ name, holder, asker, complaint string }{
		{"ours is asked by theirs", ours, c, "complains in several lines"},
		{"theirs is asked by ours", c, ours, "complains in one line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := slices.Concat([]string{"serves", "exit 1", "prints nothing", tt.complaint, "goes on"}, quiet, []string{"goes on"}, quiet,
				[]string{"ends with 0", "serves"}, quiet, []string{"goes on"}, quiet, []string{"ends with 0"}, quiet, []string{"usbmuxd.pid: none"})
			if got := inBox(t, "lock", tt.holder, tt.asker); !slices.Equal(got.Facts, want) {
				t.Errorf("want %q\n got %q", want, got.Facts)
			}
		})
		t.Run("swapped, "+tt.name, func(t *testing.T) {
			t.Parallel()
			want := []string{"ends with 0", "ends with 0", "ends with 0"}
			if got := inBox(t, "two", tt.holder, tt.asker); !slices.Equal(got.Facts, want) {
				t.Errorf("want %q\n got %q", want, got.Facts)
			}
		})
	}
}
