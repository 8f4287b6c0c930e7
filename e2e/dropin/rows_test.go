package dropin_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// row is one way to start or treat the daemon.
type row struct {
	name string
	body func(b *box)
	want []string // facts about ours
	says []string // what our last complaint says, among other things

	// reference is what is known of the C daemon where Debian's binary, of 2020,
	// lacks the option or where trying it would end the box.
	reference []string
}

// args is the body of a row whose daemon must end by itself.
func args(a ...string) func(b *box) { return func(b *box) { b.exits(a) } }

// serving is the body of a row whose daemon must serve and stop.
func serving(a ...string) func(b *box) {
	return func(b *box) {
		if p := b.serves(a); p != nil {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
	}
}

// in the foreground, as all rows that need no background.
const verbose = "-fvv"

var (
	usageError = []string{"exit 2", "prints nothing", "complains in one line"}
	refused    = []string{"exit 1", "complains in one line"}
	fails      = []string{"exit 1", "prints nothing", "complains in one line"}
	silent     = []string{"exit 0", "prints nothing", "complains in no line"}
	served     = []string{"serves", "ends with 0"}
)

var rows = []row{
	// What only prints.
	{name: "-h", body: args("-h"), want: []string{"exit 0", "prints the options", "complains in no line"}},
	{name: "--help", body: args("--help"), want: []string{"exit 0", "prints the options", "complains in no line"}},
	{name: "-V", body: args("-V"), want: []string{"exit 0", "prints a version", "complains in no line"}},
	{name: "--version", body: args("--version"), want: []string{"exit 0", "prints a version", "complains in no line"}},
	{name: "abbreviated long option", body: args("--vers"), want: []string{"exit 0", "prints a version", "complains in no line"}},
	{name: "help before a mistake", body: args("-h", "--qq"), want: []string{"exit 0", "prints the options", "complains in no line"}},
	{name: "unknown letter", body: args("-q"), want: usageError, says: []string{"-q", "--help"}},
	{name: "unknown letter in a cluster", body: args("-fvq"), want: usageError, says: []string{"'q' in -q"}},
	{name: "unknown word", body: args("--frobnicate"), want: usageError, says: []string{"--frobnicate", "--help"}},
	{name: "mistake before help", body: args("--qq", "-h"), want: usageError},
	{name: "value for an option without", body: args("--foreground=yes"), want: usageError, says: []string{"--foreground takes no value"}},
	{name: "option without its value", body: args("-U"), want: usageError, says: []string{"argument"}},
	{name: "log file twice", body: args("-l", "/mnt/work/a", "-l", "/mnt/work/b"), want: usageError, says: []string{"--logfile is given twice"}},
	{name: "argument that is no option", body: serving("-f", "phone"), want: []string{"exit 2", "complains in one line"}, says: []string{`unexpected argument "phone"`}},

	// In the foreground.
	{name: "-f", body: foreground, want: []string{
		"serves", "usbmuxd: Srw-rw-rw- 0:0", "usbmuxd.pid: -rw-r--r-- 0:0", "pid file: its process id, no newline",
		"pid file: locked by it", "records: as they were", "ends with 0", "usbmuxd: none", "usbmuxd.pid: -rw-r--r-- 0:0"}},
	{name: "cluster -fzvp", body: serving("-fzvp"), want: served},
	{name: "--foreground --verbose --no-preflight", body: serving("--foreground", "--verbose", "--no-preflight"), want: served},
	{name: "new record directory", body: func(b *box) {
		if p := b.serves([]string{"-f"}); p != nil {
			b.file(recordDir)
		}
	}, want: []string{"serves", "lockdown: drwxr-xr-x 0:0"}},
	{name: "SIGINT", body: signalled(syscall.SIGINT, "-f"), want: served},
	{name: "SIGQUIT", body: signalled(syscall.SIGQUIT, "-f"), want: served},
	{name: "SIGHUP", body: func(b *box) {
		p := b.serves([]string{"-f"})
		p.gets(syscall.SIGHUP)
		b.await("it has taken the signal", func() bool { return p.ended() || strings.Contains(p.stderr.String(), "read again") })
		p.goesOn()
	}, want: []string{"serves", "goes on"}},
	{name: "reader of standard error goes", body: readerGoes, want: []string{"serves", "goes on"}},
	{name: "SIGUSR1 without -z", body: func(b *box) {
		p := b.serves([]string{verbose})
		p.gets(syscall.SIGUSR1)
		p.says("--enable-exit")
		p.goesOn()
	}, want: []string{"serves", "goes on"}},
	{name: "SIGUSR1 with -z", body: signalled(syscall.SIGUSR1, "-fz"), want: served},
	{name: "SIGUSR1 with -s", body: signalled(syscall.SIGUSR1, "-s"), want: served},
	{name: "SIGUSR2 with -z", body: looks("-fvvz"), want: []string{"serves", "looks for phones", "goes on"}},
	{name: "SIGUSR2 with -nz", body: looks("-fvvnz"), want: []string{"serves", "looks for phones", "goes on"}},
	{name: "SIGUSR2 with -n", body: looks("-fvvn"), want: []string{"serves", "looks for phones", "goes on"}},
	{name: "SIGUSR2 without -n and -z", body: looks("-fvv"), want: []string{"serves", "ignores it", "goes on"}},

	// In the background.
	{name: "background", body: background, want: []string{
		"exit 0", "prints nothing", "complains in no line", "serves when the parent is gone", "parent: 1", "session: its own",
		"working directory: /", "stdin: /dev/null", "stdout: /dev/null", "stderr: /dev/null", "pid file: locked by it"}},
	{name: "-u", body: func(b *box) {
		b.exits([]string{"-u"})
		pid := b.pid(pidPath)
		b.must(syscall.Kill(pid, syscall.SIGUSR1))
		b.gone(pid)
		b.note("ends on SIGUSR1")
	}, want: append(silent, "ends on SIGUSR1")},
	{name: "child of process 1", body: childOfInit, want: []string{"stays the same process"}},
	{name: "background, socket that cannot be made", body: func(b *box) {
		b.must(os.Mkdir(socketPath, 0o755))
		b.exits(nil)
	}, want: fails, says: []string{"listen on /var/run/usbmuxd", "not a socket"}},
	{name: "background, what the script has open", body: func(b *box) {
		read, write, err := os.Pipe()
		b.must(err)
		b.exits(nil, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{write} })
		write.Close()
		b.must(read.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = read.Read(make([]byte, 1))
		b.note("lets go of it: %v", err == io.EOF)
	}, want: append(silent, "lets go of it: true")},
	{name: "background, record directory that cannot be written", body: func(b *box) {
		b.must(unix.Mount("", "/var/lib", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		b.exits(nil)
	}, want: fails, says: []string{recordDir, "install -d"}},
	{name: "background, system log", body: systemLog, want: append(silent, "logs as usbmuxd[pid], facility 3")},

	// Log files.
	{name: "-l in the foreground", body: logFile("-f"), want: []string{"serves", "keeps what the file held", "appends", "complains in no line"}},
	{name: "-l in the background", body: func(b *box) {
		b.exits([]string{"-l", "log"})
		b.must(answers("unix", socketPath))
		pid := b.pid(pidPath)
		b.must(syscall.Kill(pid, syscall.SIGTERM))
		b.gone(pid)
		text, err := os.ReadFile(filepath.Join(workDir, "log"))
		b.must(err)
		b.note("tells its end: %v", strings.Contains(string(text), "stopping") || strings.Contains(string(text), "exiting"))
	}, want: append(silent, "tells its end: true")},
	{name: "-l in a missing directory", body: serving("-f", "-l", "/mnt/work/no/log"), want: refused, says: []string{"/mnt/work/no/log", "--logfile"}},
	{name: "log line in the foreground", body: func(b *box) {
		p := b.serves([]string{"-f"})
		p.says("read", "Initialization complete")
		line, _, _ := strings.Cut(p.stderr.String(), "\n")
		switch {
		case strings.HasPrefix(line, "[") && strings.Contains(line, "][3] "):
			b.note("[time][3] text")
		case len(line) > 17 && line[2] == ':' && line[12:18] == " INFO ":
			b.note("time INFO text")
		}
	}, want: []string{"serves", "time INFO text"}},

	// Asking another one.
	{name: "-x and nobody runs", body: nobody("-x"), want: append(silent, "usbmuxd.pid: none")},
	{name: "-X and nobody runs", body: nobody("-X"), want: append(silent, "usbmuxd.pid: none")},
	{name: "-x, no pid file", body: args("-x"), want: silent},
	{name: "-x, the other has -z", body: asks("-x", "-fz"), want: append(append([]string{"serves"}, silent...), "ends with 0")},
	{name: "-x, the other lacks -z", body: func(b *box) {
		p := b.serves([]string{verbose})
		b.exits([]string{"-x"})
		p.says("--enable-exit")
		p.goesOn()
	}, want: append(append([]string{"serves"}, silent...), "goes on")},
	{name: "-X, the other runs", body: asks("-X", "-f"), want: append(append([]string{"serves"}, silent...), "ends with 0")},
	{name: "--exit with -f -v", body: asks("-fvx", "-fz"), want: append(append([]string{"serves"}, silent...), "ends with 0")},
	{name: "-n, the other has -z", body: func(b *box) {
		p := b.serves([]string{"-fvvz"})
		b.exits([]string{"-n"})
		p.says("asked to look for phones", "Caught SIGUSR2")
		p.goesOn()
	}, want: append(append([]string{"serves"}, silent...), "goes on")},
	{name: "-X by an ordinary user", body: func(b *box) {
		p := b.serves([]string{"-f"})
		b.exits([]string{"-X"}, as(accountUID))
		p.goesOn()
	}, want: append(append([]string{"serves"}, fails...), "goes on"), says: []string{"operation not permitted", "run as root"}},
	{name: "second start", body: func(b *box) {
		p := b.serves([]string{"-f"})
		b.exits([]string{"-f"})
		p.goesOn()
	}, want: append(append([]string{"serves"}, fails...), "goes on"), says: []string{"/var/run/usbmuxd.pid", "another usbmuxd is running", "stop it"}},
	{name: "second start in the background", body: func(b *box) {
		p := b.serves([]string{"-f"})
		b.exits(nil)
		p.goesOn()
	}, want: append(append([]string{"serves"}, fails...), "goes on"), says: []string{"another usbmuxd is running"}},

	// Pid files.
	{name: "stale pid file", body: func(b *box) {
		b.must(os.WriteFile(pidPath, []byte("999999"), 0o644))
		if p := b.serves([]string{"-f"}); p != nil && b.pid(pidPath) == p.cmd.Process.Pid {
			b.note("writes its own process id")
		}
	}, want: []string{"serves", "writes its own process id"}},
	{name: "pid file that is somebody's text", body: func(b *box) {
		b.must(os.WriteFile(pidPath, []byte("precious\n"), 0o644))
		serving("-f")(b)
		text, err := os.ReadFile(pidPath)
		b.must(err)
		b.note("text kept: %v", string(text) == "precious\n")
	}, want: append(refused, "text kept: true"), says: []string{"something else than a process id", "--pidfile"}},
	{name: "-x, pid file that is somebody's text", body: func(b *box) {
		b.must(os.WriteFile(pidPath, []byte("precious\n"), 0o644))
		b.exits([]string{"-x"})
		b.file(pidPath)
	}, want: append(fails, "usbmuxd.pid: -rw-r--r-- 0:0"), says: []string{"something else than a process id"}},
	{name: "pid file that is a symbolic link", body: func(b *box) {
		b.must(os.WriteFile(filepath.Join(workDir, "precious"), []byte("x"), 0o644))
		b.must(os.Symlink(filepath.Join(workDir, "precious"), pidPath))
		serving("-f")(b)
	}, want: refused, says: []string{pidPath, "--pidfile"}},
	{name: "pid file locked by another program", body: func(b *box) {
		lockFile(b, unix.F_SETLK)
		b.exits([]string{"-f"})
	}, want: fails, says: []string{"locked by process"}},
	{name: "pid file locked by nobody in particular", body: func(b *box) {
		// The kernel names process -1, which for kill means everyone.
		lockFile(b, unix.F_OFD_SETLK)
		b.exits([]string{"-X"})
		b.note("all are alive")
	}, want: append(fails, "all are alive"), says: []string{"cannot be seen from here"}, reference: []string{"sends SIGTERM to every process"}},
	{name: "ordinary user", body: func(b *box) { b.exits([]string{"-f"}, as(accountUID)) }, want: fails, says: []string{"pid file", "run as root"}},
	{name: "-P FILE", body: func(b *box) {
		if p := b.serves([]string{"-f", "-P", "/mnt/work/pid"}); p != nil {
			b.file(pidPath)
			b.note("FILE locked by it: %v", b.holder("/mnt/work/pid") == p.cmd.Process.Pid)
			b.exits([]string{"-X", "-P", "/mnt/work/pid"})
			p.ends()
		}
	}, want: append(append([]string{"serves", "usbmuxd.pid: none", "FILE locked by it: true"}, silent...), "ends with 0"),
		reference: append(append([]string{"serves", "usbmuxd.pid: none", "FILE locked by it: true"}, silent...), "ends with 0")},
	{name: "-P NONE", body: func(b *box) {
		if p := b.serves([]string{"-f", "-P", "NONE"}); p != nil {
			b.file(pidPath)
			p.gets(syscall.SIGTERM)
			p.ends()
		}
	}, want: []string{"serves", "usbmuxd.pid: none", "ends with 0"}, reference: []string{"serves", "usbmuxd.pid: none", "ends with 0"}},
	{name: "-P in a missing directory", body: args("-f", "-P", "/mnt/work/no/pid"), want: fails, says: []string{"/mnt/work/no/pid"}, reference: fails},

	// Sockets.
	{name: "stale socket", body: func(b *box) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPath, Net: "unix"})
		b.must(err)
		l.SetUnlinkOnClose(false)
		l.Close()
		serving("-f")(b)
	}, want: served},
	{name: "file in the socket's place", body: func(b *box) {
		b.must(os.WriteFile(socketPath, []byte("precious"), 0o600))
		serving("-f")(b)
	}, want: refused, says: []string{"not a socket"}},
	{name: "another program on the socket", body: func(b *box) {
		l, err := net.Listen("unix", socketPath)
		b.must(err)
		defer l.Close()
		before := inode(b)
		p := b.launch([]string{"-f"})
		b.await("it has given up or taken the socket", func() bool {
			return p.ended() || inode(b) != before
		})
		b.note("socket taken away: %v", inode(b) != before)
		if inode(b) == before {
			b.Said = p.stderr.String()
			p.ends()
		}
	}, want: []string{"socket taken away: false", "ends with 1"}, says: []string{"in use", "stop it"}},
	{name: "-S PATH", body: listens("unix", "/mnt/work/s", "-S", "/mnt/work/s"), want: served, reference: served},
	{name: "-SPATH", body: listens("unix", "/mnt/work/s", "-S/mnt/work/s"), want: served, reference: served},
	{name: "-S UNIX:PATH", body: listens("unix", "/mnt/work/s", "-S", "UNIX:/mnt/work/s"), want: served, reference: []string{"exit 1", "complains in one line"}},
	{name: "-S HOST:PORT", body: listens("tcp", "127.0.0.1:27015", "-S", "127.0.0.1:27015"), want: served, reference: served},
	{name: "-S [V6]:PORT", body: listens("tcp", "[::1]:27015", "-S", "[::1]:27015"), want: served, reference: []string{"exit 1", "complains in one line"}},
	{name: "-S V6:PORT without brackets", body: listens("tcp", "[::1]:27015", "-S", "::1:27015"), want: served, reference: served},
	{name: "-S PATH with a colon", body: listens("unix", "/mnt/work/a:1", "-S", "/mnt/work/a:1"), want: served, reference: []string{"exit 1", "complains in one line"}},
	{name: "-S on every address", body: listens("tcp", "127.0.0.1:27015", "-S", "0.0.0.0:27015"), want: []string{"exit 2", "complains in one line"},
		says: []string{"not a loopback address", "allow_remote = true"}, reference: served},
	{name: "-S twice", body: func(b *box) {
		if p := b.servesAt("unix", "/mnt/work/s", []string{"-f", "-S", "127.0.0.1:27015", "-S", "/mnt/work/s"}); p != nil {
			b.note("serves the other, too: %v", answers("tcp", "127.0.0.1:27015") == nil)
		}
	}, want: []string{"serves", "serves the other, too: true"}, reference: []string{"serves", "serves the other, too: false"}},
	{name: "-S in a missing directory", body: serving("-f", "-S", "/mnt/work/no/s"), want: refused, says: []string{"create the directory"}, reference: refused},
	{name: "-S FILE", body: func(b *box) {
		b.must(os.WriteFile("/mnt/work/file", nil, 0o600))
		serving("-f", "-S", "/mnt/work/file")(b)
	}, want: refused, says: []string{"not a socket"}, reference: refused},
	{name: "-S with an empty value", body: args("-f", "-S", ""), want: usageError, says: []string{"--socket wants an address"}, reference: usageError},
	{name: "-S with an option for a value", body: args("-S", "-f"), want: usageError, says: []string{"--socket wants an address"}, reference: usageError},
	{name: "passed sockets", body: passedSockets, want: []string{"serves", "serves the passed one: true", "usbmuxd: none", "ends with 0", "leaves it: true"},
		reference: []string{"serves the passed one: false", "usbmuxd: Srw-rw-rw- 0:0"}},

	// The record directory.
	{name: "-C with missing parents", body: func(b *box) {
		if p := b.serves([]string{"-f", "-C", "/mnt/work/a/b/c"}); p != nil {
			b.file("/mnt/work/a/b/c")
		}
	}, want: []string{"serves", "c: drwxr-xr-x 0:0"}, reference: []string{"exit 1", "complains in one line"}},
	{name: "-C with a missing leaf", body: func(b *box) {
		if p := b.serves([]string{"-f", "-C", "/mnt/work/c"}); p != nil {
			b.file("/mnt/work/c")
		}
	}, want: []string{"serves", "c: drwxr-xr-x 0:0"}, reference: []string{"serves", "c: dgrwxrwxr-x 0:0"}},
	{name: "record directory that cannot be written", body: func(b *box) {
		b.must(os.Mkdir(recordDir, 0o755))
		b.must(unix.Mount("", "/var/lib", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		serving("-f")(b)
	}, want: refused, says: []string{recordDir, "mount it writable"}},
	{name: "record directory that is a file", body: func(b *box) {
		b.must(os.WriteFile(recordDir, nil, 0o644))
		serving("-f")(b)
	}, want: refused, says: []string{recordDir, "another directory"}},

	// Users.
	{name: "-U USER", body: becomes, want: []string{
		"serves", "every thread: Uid 64321 64321 64321 64321", "every thread: Gid 64321 64321 64321 64321", "every thread: Groups 64321 64322",
		"every thread: CapPrm 0000000000000000", "every thread: CapEff 0000000000000000", "usbmuxd: Srw-rw-rw- 0:0", "usbmuxd.pid: -rw-r--r-- 0:0",
		"lockdown: drwxr-xr-x 64321:64321", "makes records as its user", "ends with 0"}},
	{name: "-U USER in the background", body: func(b *box) {
		b.exits([]string{"-U", account})
		b.note("Uid %s", b.task(fmt.Sprintf("/proc/%d", b.pid(pidPath)), "Uid")[0])
	}, want: append(silent, "Uid 64321 64321 64321 64321")},
	{name: "-U root", body: func(b *box) {
		if p := b.serves([]string{"-f", "-U", "root"}); p != nil {
			b.note("Uid %s", b.task(fmt.Sprintf("/proc/%d", p.cmd.Process.Pid), "Uid")[0])
		}
	}, want: []string{"serves", "Uid 0 0 0 0"}},
	{name: "-U with an unknown user", body: serving("-f", "-U", "nosuchuser"), want: refused, says: []string{`no user "nosuchuser"`, "useradd"}},
	{name: "-U in the background with an unknown user", body: args("-U", "nosuchuser"), want: fails, says: []string{`no user "nosuchuser"`}},
	{name: "-U by an ordinary user", body: func(b *box) {
		b.must(os.Chmod("/run", 0o777))
		b.must(os.Chmod("/var/lib", 0o777))
		if p := b.serves([]string{"-f", "-U", "root"}, as(accountUID)); p != nil {
			b.note("Uid %s", b.task(fmt.Sprintf("/proc/%d", p.cmd.Process.Pid), "Uid")[0])
		}
	}, want: []string{"serves", "Uid 64321 64321 64321 64321"}},
	{name: "-U, record directory of another user", body: func(b *box) {
		b.must(os.Mkdir(recordDir, 0o755))
		b.must(os.Chown(recordDir, 33, 33))
		serving("-f", "-U", account)(b)
	}, want: refused, says: []string{recordDir, "not usable by user 64321", "chown"}},

	// Limits.
	{name: "limit of open files", body: func(b *box) {
		p := b.serves([]string{"-f"}, shell("ulimit -Sn 512"))
		if p == nil {
			return
		}
		var l unix.Rlimit
		b.must(unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &l))
		b.note("soft limit raised: %v", l.Cur > 512)
		b.note("soft limit is the hard one: %v", l.Cur == l.Max)
	}, want: []string{"serves", "soft limit raised: true", "soft limit is the hard one: true"}},
	{name: "more clients than open files", body: starved, want: []string{"serves", "serves again"}},
	{name: "readiness for the service manager", body: readiness, want: []string{"serves", "READY=1", "ends with 0", "STOPPING=1"},
		reference: []string{"serves", "ends with 0"}},
}

// foreground looks at everything that the plainest start makes.
func foreground(b *box) {
	b.must(os.Mkdir(recordDir, 0o750))
	p := b.serves([]string{"-f"})
	b.file(socketPath)
	b.file(pidPath)
	if b.pid(pidPath) == p.cmd.Process.Pid {
		b.note("pid file: its process id, no newline")
	}
	if b.holder(pidPath) == p.cmd.Process.Pid {
		b.note("pid file: locked by it")
	}
	if st, err := os.Stat(recordDir); err == nil && st.Mode() == os.ModeDir|0o750 {
		b.note("records: as they were")
	} else {
		b.note("records: %v", st.Mode())
	}
	p.gets(syscall.SIGTERM)
	p.ends()
	b.file(socketPath)
	b.file(pidPath)
}

// signalled sends a signal that must end the daemon.
func signalled(sig syscall.Signal, args ...string) func(b *box) {
	return func(b *box) {
		p := b.serves(args)
		p.gets(sig)
		p.ends()
	}
}

// looks sends SIGUSR2.
func looks(args ...string) func(b *box) {
	return func(b *box) {
		p := b.serves(args)
		p.gets(syscall.SIGUSR2)
		p.says("asked to look for phones", "Caught SIGUSR")
		if log := p.stderr.String(); strings.Contains(log, "ignored") || strings.Contains(log, "ignoring") {
			b.note("ignores it")
		} else {
			b.note("looks for phones")
		}
		p.goesOn()
	}
}

// readerGoes closes the other end of the daemon's standard error.
func readerGoes(b *box) {
	read, write, err := os.Pipe()
	b.must(err)
	p := b.serves([]string{verbose}, func(cmd *exec.Cmd) { cmd.Stderr = write })
	write.Close()
	read.Close()
	p.gets(syscall.SIGUSR1) // which is logged
	p.gets(syscall.SIGUSR2)
	b.must(answers("unix", socketPath))
	p.goesOn()
}

// background looks at the daemon that stays.
func background(b *box) {
	b.exits(nil)
	if answers("unix", socketPath) == nil {
		b.note("serves when the parent is gone")
	}
	pid := b.pid(pidPath)
	dir := fmt.Sprintf("/proc/%d", pid)
	b.note("parent: %s", b.task(dir, "PPid")[0])
	own, err := unix.Getsid(0)
	b.must(err)
	session, err := unix.Getsid(pid)
	b.must(err)
	if session != own {
		b.note("session: its own")
	}
	for _, link := range []struct{ name, path string }{{"working directory", "cwd"}, {"stdin", "fd/0"}, {"stdout", "fd/1"}, {"stderr", "fd/2"}} {
		target, err := os.Readlink(filepath.Join(dir, link.path))
		b.must(err)
		b.note("%s: %s", link.name, target)
	}
	if b.holder(pidPath) == pid {
		b.note("pid file: locked by it")
	}
}

// childOfInit starts the daemon as what process 1 has started.
func childOfInit(b *box) {
	// The subshell waits until its parent is gone.
	const script = `(until read -r _ _ _ p _ </proc/self/stat && [ "$p" = 1 ]; do :; done; echo $$ >/mnt/work/ready; exec sh -c 'echo $$ >/mnt/work/me; exec "$0"' "$0") &`
	cmd := exec.Command("/bin/sh", "-c", script, daemonPath)
	b.must(cmd.Run())
	b.await("it serves", func() bool { return answers("unix", socketPath) == nil })
	text, err := os.ReadFile("/mnt/work/me")
	b.must(err)
	if strings.TrimSpace(string(text)) == fmt.Sprint(b.holder(pidPath)) {
		b.note("stays the same process")
	} else {
		b.note("leaves itself behind")
	}
}

// systemLog reads what the daemon tells the system's log.
func systemLog(b *box) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	b.must(err)
	defer c.Close()
	b.exits([]string{"-v"})
	pid := b.pid(pidPath)
	b.must(syscall.Kill(pid, syscall.SIGTERM))
	b.must(c.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		b.must(err)
		var priority int
		_, err = fmt.Sscanf(string(buf[:n]), "<%d>", &priority)
		if err == nil && strings.Contains(string(buf[:n]), fmt.Sprintf(" usbmuxd[%d]: ", pid)) {
			b.note("logs as usbmuxd[pid], facility %d", priority>>3)
			return
		}
	}
}

// logFile has the daemon append to a file.
func logFile(args ...string) func(b *box) {
	return func(b *box) {
		path := filepath.Join(workDir, "log")
		b.must(os.WriteFile(path, []byte("before\n"), 0o644))
		p := b.serves(append(args, "-l", "log"))
		p.gets(syscall.SIGTERM)
		<-p.exited
		text, err := os.ReadFile(path)
		b.must(err)
		if strings.HasPrefix(string(text), "before\n") {
			b.note("keeps what the file held")
		}
		if strings.Count(string(text), "\n") > 1 {
			b.note("appends")
		}
		b.note("complains in %s", lines(p.stderr.String()))
	}
}

// nobody asks where only a pid file was left behind.
func nobody(option string) func(b *box) {
	return func(b *box) {
		b.must(os.WriteFile(pidPath, []byte("999999"), 0o644))
		b.exits([]string{option})
		b.file(pidPath)
	}
}

// asks has one daemon ask another one, which ends.
func asks(option string, other ...string) func(b *box) {
	return func(b *box) {
		p := b.serves(other)
		b.exits([]string{option})
		p.ends()
	}
}

// listens serves an address of the daemon's choice and stops.
func listens(network, address string, args ...string) func(b *box) {
	return func(b *box) {
		if p := b.servesAt(network, address, append([]string{"-f"}, args...)); p != nil {
			p.gets(syscall.SIGTERM)
			p.ends()
		}
	}
}

// lockFile makes the pid file somebody else's, with a lock of this kind.
func lockFile(b *box, kind int) {
	f, err := os.OpenFile(pidPath, os.O_RDWR|os.O_CREATE, 0o644)
	b.must(err)
	b.must(unix.FcntlFlock(f.Fd(), kind, &unix.Flock_t{Type: unix.F_WRLCK}))
	files = append(files, f)
}

// files are kept open to the end.
var files []*os.File

// as runs a program as an ordinary user.
func as(uid uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// shell runs a command before the program, in its process.
func shell(command string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", command + `; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
}

func inode(b *box) uint64 {
	var st unix.Stat_t
	if unix.Lstat(socketPath, &st) != nil {
		return 0 // between unlink and bind
	}
	return st.Ino
}

// becomes looks at every thread of a daemon that has given root up.
func becomes(b *box) {
	p := b.serves([]string{"-f", "-U", account})
	if p == nil {
		return
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	b.must(err)
	fields := []string{"Uid", "Gid", "Groups", "CapPrm", "CapEff"}
	first := b.task(tasks[0], fields...)
	for _, t := range tasks[1:] {
		for i, v := range b.task(t, fields...) {
			if v != first[i] {
				b.note("one thread differs: %s %s", fields[i], v)
			}
		}
	}
	for i, v := range first {
		b.note("every thread: %s %s", fields[i], v)
	}
	b.file(socketPath)
	b.file(pidPath)
	b.file(recordDir)
	buid(b)
	var st unix.Stat_t
	b.must(unix.Stat(filepath.Join(recordDir, "SystemConfiguration.plist"), &st))
	if st.Uid == accountUID {
		b.note("makes records as its user")
	}
	p.gets(syscall.SIGTERM)
	p.ends()
}

// starved gives the daemon fewer descriptors than it has clients.
func starved(b *box) {
	p := b.serves([]string{"-f"})
	const few = 30
	b.must(unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: few, Max: few}, nil))
	var clients []net.Conn
	b.await("it has run out of descriptors", func() bool {
		if c, err := net.Dial("unix", socketPath); err == nil { // else the backlog is full
			clients = append(clients, c)
		}
		return p.ended() || strings.Contains(p.stderr.String(), "too many open files")
	})
	for _, c := range clients {
		c.Close()
	}
	again := false
	b.await("it serves again, or has ended", func() bool {
		again = !p.ended() && answers("unix", socketPath) == nil
		return again || p.ended()
	})
	if again {
		b.note("serves again")
	} else {
		p.ends()
	}
}
