package flow_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/lockdown"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

const (
	udid = "00008110-000A111122223333"
	code = "1234" // the owner's passcode
)

// rig is one virtual phone, its owner, and this computer with a flow that cares for
// the phone, in a bubble.
type rig struct {
	t       *testing.T
	phone   *virtualphone.Phone
	dir     string // of the records
	records *pairrecord.Store
	fails   failures
	cfg     flow.Config

	flow    *flow.Flow
	session *mux.Session
	stop    func()        // ends both; the phone stays plugged in
	over    chan struct{} // closed when both have ended

	mu   sync.Mutex    // guards the next three
	last flow.Status   // as told last
	now  string        // state and cause of it
	seen []string      // all that was told, as a story has it
	news chan struct{} // capacity 1: there is more
}

// play runs tell with a phone that it is to plug in, and ends all of it.
func play(t *testing.T, phone virtualphone.Config, cfg flow.Config, tell func(*rig)) {
	t.Helper()
	dir := t.TempDir()
	store, err := pairrecord.Open(dir, pairrecord.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pair := readyMade()
	synctest.Test(t, func(t *testing.T) {
		phone.UDID = udid
		r := &rig{t: t, dir: dir, records: store, cfg: cfg, news: make(chan struct{}, 1)}
		var err error
		r.phone, err = virtualphone.New(phone)
		r.must(err)
		if r.cfg.Keys == nil {
			r.cfg.Keys = flow.ReadyMade(pair)
		}
		if r.cfg.Policy == "" {
			r.cfg.Policy = trust.Auto
		}
		r.cfg.UDID, r.cfg.Records = udid, records{store, &r.fails}
		r.cfg.Changed, r.cfg.Paired = r.changed, func() { r.saw("paired") }
		r.cfg.Refused, r.cfg.Silent = mux.ErrRefused, mux.ErrDialTimeout
		r.cfg.NoLockdown = phone.NoLockdown
		defer func() {
			r.stop()
			r.cfg.Keys.Wait()
			r.phone.Close()
			if v := r.phone.Violations(); v.Total() != 0 {
				t.Errorf("the phone counted violations: %v\n%v", v, r.phone.ViolationNotes())
			}
		}()
		tell(r)
	})
}

// readyMade are the keys of this computer, otherKeys those of a program or computer
// beside it: made once for all tests.
var (
	readyMade = sync.OnceValue(newKeys)
	otherKeys = sync.OnceValue(newKeys)
)

func newKeys() *lockdown.Keys {
	keys, err := lockdown.NewKeys()
	if err != nil {
		panic(err)
	}
	return keys
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// plug plugs the phone in, unless a restart has, and starts a flow.
func (r *rig) plug() {
	r.t.Helper()
	if r.phone.Cable() == nil {
		_, err := r.phone.Plug()
		r.must(err)
	}
	r.start()
}

// start starts a flow for the plugged phone, as the daemon does.
func (r *rig) start() {
	r.t.Helper()
	session, err := mux.Open(context.Background(), r.phone.Cable().Pipe(), mux.Config{})
	r.must(err)
	cfg := r.cfg
	cfg.Dial = dialer(session)
	r.flow, r.session, r.over = flow.New(cfg), session, make(chan struct{})
	if r.now != "" {
		r.saw("|")
		r.now = ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.flow.Run(ctx) })
	go func(over chan struct{}) {
		defer close(over)
		select {
		case <-session.Done():
		case <-ctx.Done():
		}
		session.Close()
		cancel()
		running.Wait()
	}(r.over)
	r.stop = func() {
		cancel()
		<-r.over
	}
}

func dialer(s *mux.Session) lockdown.DialFunc {
	return func(ctx context.Context, port uint16) (net.Conn, error) {
		c, err := s.Dial(ctx, port)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// pull pulls the plug. The next plug is not the same moment.
func (r *rig) pull() {
	r.phone.Unplug()
	<-r.over
	time.Sleep(time.Second)
}

func (r *rig) replug() {
	r.t.Helper()
	r.pull()
	r.plug()
}

// changed is what the flow calls.
func (r *rig) changed(s flow.Status) {
	word := string(s.State)
	if s.Cause != "" {
		word += "(" + s.Cause + ")"
	}
	r.mu.Lock()
	again := word == r.now
	r.now, r.last = word, s
	r.mu.Unlock()
	if !again {
		r.saw(word)
	}
}

func (r *rig) saw(word string) {
	r.mu.Lock()
	r.seen = append(r.seen, word)
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *rig) status() flow.Status {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// expect waits until the phone is in a state, for so long at most.
func (r *rig) expect(within time.Duration, want trust.State) {
	r.t.Helper()
	late := time.NewTimer(within)
	defer late.Stop()
	for r.status().State != want {
		select {
		case <-r.news:
		case <-late.C:
			r.t.Fatalf("want %s within %v, saw %s", want, within, strings.Join(r.seen, " "))
		}
	}
}

// shows waits until the phone shows its owner a dialog.
func (r *rig) shows(d virtualphone.Dialog) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	_, err := r.phone.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == d })
	if err != nil {
		r.t.Fatalf("the phone does not show the %s dialog; saw %s", d, strings.Join(r.seen, " "))
	}
	synctest.Wait() // nobody is quicker than the phone's answer
}

// tap taps Trust, once it is there to be tapped.
func (r *rig) tap() {
	r.t.Helper()
	r.shows(virtualphone.TrustDialog)
	r.must(r.phone.TapTrust())
}

// enter enters the passcode after that.
func (r *rig) enter() {
	r.t.Helper()
	r.must(r.phone.EnterPasscode(code))
}

// accept is all that the owner does who trusts this computer.
func (r *rig) accept() {
	r.t.Helper()
	r.tap()
	synctest.Wait()
	if r.phone.State().Dialog == virtualphone.PasscodeDialog {
		r.enter()
	}
	r.expect(2*time.Second, trust.Trusted)
}

// follow plugs a phone in that has been unplugged, and answers what it asks.
func (r *rig) follow() {
	r.t.Helper()
	if r.phone.Cable() == nil {
		<-r.over
		time.Sleep(time.Second)
		r.plug()
	}
	switch r.status(); r.phone.State().Dialog {
	case virtualphone.TrustDialog:
		r.must(r.phone.TapTrust())
	case virtualphone.PasscodeDialog:
		r.enter()
	}
}

// settle follows the phone until it trusts us.
func (r *rig) settle() {
	r.t.Helper()
	for range 600 {
		if r.status().State == trust.Trusted {
			return
		}
		r.follow()
		time.Sleep(time.Second)
	}
	r.t.Fatalf("not trusted in the end, saw %s", strings.Join(r.seen, " "))
}

// disk tells in words what the directory of records holds: the record in use
// (bagless if without an escrow bag), when it was used, what is to be unpaired, and
// the reasons of what was put away, oldest first. A file that does not belong there
// is a word, too.
func (r *rig) disk() string {
	r.t.Helper()
	var words []string
	rec, err := r.records.Record(udid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		words = append(words, "unreadable")
	case len(rec.EscrowBag) == 0:
		words = append(words, "bagless")
	default:
		words = append(words, "record")
	}
	copies, err := r.records.Copies(udid)
	r.must(err)
	r.must(filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path, err = filepath.Rel(r.dir, path); path {
		case udid + ".plist", "SystemConfiguration.plist":
		case ".used/" + udid:
			words = append(words, "used")
		case ".untrusted/" + udid + ".plist":
			words = append(words, "untrusted")
		default:
			for _, c := range copies {
				if path == ".replaced/"+udid+".plist."+c.ID {
					return nil
				}
			}
			words = append(words, path)
		}
		return err
	}))
	for i := range copies {
		words = append(words, "-"+copies[len(copies)-1-i].Reason)
	}
	return strings.Join(words, " ")
}
