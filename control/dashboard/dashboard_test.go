package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/control/observer"
)

const token = "a-token-that-nobody-guesses"

// acts is what the daemon would do, as far as it is asked.
type acts struct {
	control.Actions
	asked chan string
}

func (a acts) Trust(_ context.Context, key string, _ control.TrustRequest) error {
	a.asked <- key
	return nil
}

func (a acts) Reset(_ context.Context, key string) error {
	a.asked <- key
	return nil
}

func (a acts) Reopen(ctx context.Context, key string) error { return a.Reset(ctx, key) }

func (acts) Records(context.Context) ([]control.Record, error) { return nil, nil }
func (acts) Daemon(context.Context) control.Daemon             { return control.Daemon{Version: "1.2.3"} }

// rig is a control socket, an observer of it and a dashboard.
type rig struct {
	hub  *control.Hub
	acts acts
	url  string
	path string
}

func start(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{hub: control.NewHub(control.Config{}), acts: acts{asked: make(chan string, 8)}, path: filepath.Join(t.TempDir(), "control")}
	l, err := net.Listen("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	srv := control.NewServer(r.hub, r.acts, control.Config{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c := control.Dial(r.path)
	cfg.Observer, cfg.Actor = observer.New(c), c
	ctx, stop := context.WithCancel(context.Background())
	observed := make(chan struct{})
	go func() { cfg.Observer.Run(ctx); close(observed) }()
	web := httptest.NewUnstartedServer(New(cfg))
	web.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	web.Start()
	r.url = web.URL
	t.Cleanup(func() {
		stop()
		web.Close()
		<-observed
		srv.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func phone(n, trust string) control.Device {
	udid := "0000811000000000000000000000000000000" + n
	return control.Device{UDID: &udid, Name: "Phone " + n, PortPath: "1-" + n, Trust: trust, Reason: "So it is.", NextStep: "Do it."}
}

// ask sends a request with headers "Name: value", of which Host is one.
func (r *rig) ask(t *testing.T, method, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// stream opens the events and returns a function that gives the next view.
func (r *rig) stream(t *testing.T) func() observer.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return func() (v observer.View) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(data), &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
	}
}

// until reads views until one is as wanted.
func until(t *testing.T, next func() observer.View, ok func(observer.View) bool) observer.View {
	t.Helper()
	for {
		if v := next(); ok(v) {
			return v
		}
	}
}

func TestLive(t *testing.T) {
	r := start(t, Config{})
	r.hub.Put("a", phone("101", "trusted"))
	next := r.stream(t)
	has := func(keys ...string) func(observer.View) bool {
		return func(v observer.View) bool {
			return v.Keys != nil && strings.Join(v.Keys, " ") == strings.Join(keys, " ")
		}
	}
	until(t, next, has("1-101"))
	r.hub.Put("b", phone("102", "denied"))
	v := until(t, next, has("1-101", "1-102"))
	if len(v.Phones) != 1 || v.Phones[0].Standing != observer.Fault || v.Phones[0].Title != "Phone 102" {
		t.Errorf("a plug shows as %+v", v.Phones)
	}
	r.hub.Remove("a")
	v = until(t, next, has("1-102"))
	if len(v.Log) == 0 || v.Log[len(v.Log)-1].Kind != "unplugged" || v.History != nil {
		t.Errorf("an unplug shows as %+v", v)
	}
	_, _, state := r.ask(t, "GET", "/api/state")
	if err := json.Unmarshal([]byte(state), &v); err != nil || v.History == nil || len(v.Phones) != 1 {
		t.Errorf("/api/state: %v, %s", err, state)
	}
}

// TestManyStreams asserts that there is a limit, and room again below it.
func TestManyStreams(t *testing.T) {
	r := start(t, Config{})
	var open []io.Closer
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range maxStreams {
		resp, err := http.Get(r.url + "/api/events")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, resp.Body)
	}
	if code, _, body := r.ask(t, "GET", "/api/events"); code != http.StatusServiceUnavailable || !strings.Contains(body, "close another") {
		t.Errorf("one too many: %d, %s", code, body)
	}
}

func TestWhoMayAct(t *testing.T) {
	bearer := "Authorization: Bearer " + token
	for _, tt := range []struct {
		name, token string
		headers     []string
		want        int
	}{
		{"the page with the token", token, []string{bearer, "Origin: ORIGIN", "Sec-Fetch-Site: same-origin"}, 200},
		{"a program with the token", token, []string{bearer}, 200},
		{"no token", token, nil, 403},
		{"a wrong token", token, []string{bearer + "x"}, 403},
		{"an empty token", token, []string{"Authorization: Bearer "}, 403},
		{"actions are off", "", []string{"Authorization: Bearer "}, 403},
		{"another page", token, []string{bearer, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another page in an old browser", token, []string{bearer, "Origin: https://evil.example"}, 403},
		{"another port of this computer", token, []string{bearer, "Origin: http://127.0.0.1:1", "Sec-Fetch-Site: same-site"}, 403},
		{"a sandboxed page", token, []string{bearer, "Origin: null"}, 403},
		{"a foreign name", token, []string{bearer, "Host: evil.example"}, 421},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, Config{Token: tt.token})
			r.hub.Put("a", phone("101", "denied"))
			until(t, r.stream(t), func(v observer.View) bool { return len(v.Keys) == 1 })
			for i := range tt.headers {
				tt.headers[i] = strings.ReplaceAll(tt.headers[i], "ORIGIN", r.url)
			}
			for _, action := range []string{"trust", "reset", "reopen"} {
				code, _, body := r.ask(t, "POST", "/api/phones/1-101/"+action, tt.headers...)
				if code != tt.want {
					t.Errorf("%s: want %d, got %d, %s", action, tt.want, code, body)
				}
				select {
				case key := <-r.acts.asked:
					if tt.want != 200 || key != "a" {
						t.Errorf("%s of the phone at %q", action, key)
					}
				default:
					if tt.want == 200 {
						t.Errorf("no %s", action)
					}
				}
			}
		})
	}
}

func TestActionErrors(t *testing.T) {
	r := start(t, Config{Token: token})
	code, _, body := r.ask(t, "POST", "/api/phones/nobody/trust", "Authorization: Bearer "+token)
	var e control.Error
	if err := json.Unmarshal([]byte(body), &e); err != nil || code != 404 || e.Code != control.CodeNotFound || !strings.Contains(e.Message, "nobody") {
		t.Errorf("an unknown phone: %d, %s", code, body)
	}
	if code, _, _ := r.ask(t, "GET", "/api/phones/nobody/trust"); code != 405 {
		t.Errorf("GET of an action = %d", code)
	}
}

// TestNames asserts that the page answers to its own names alone, also for those
// who only look: a name that points here by its owner's will is not one.
func TestNames(t *testing.T) {
	r := start(t, Config{Hosts: []string{"phones.example.org"}})
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "localhost:9787": 200, "LOCALHOST.": 200, "phones.example.org": 200, "Phones.Example.org:443": 200,
		"evil.example": 421, "127.0.0.2": 421, "192.0.2.1:80": 421, "[::1]:80": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"phones.example.org.evil.example": 421,
	} {
		for _, path := range []string{"/", "/api/state", "/app.js"} {
			var headers []string
			if host != "" {
				headers = []string{"Host: " + host}
			}
			if code, _, body := r.ask(t, "GET", path, headers...); code != want {
				t.Errorf("%s at %q: want %d, got %d, %s", path, host, want, code, body)
			}
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "phones:1": false, "x": false, "[::ffff:127.0.0.1]:1": true,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v", address, got)
		}
	}
}

// TestPages asserts that all files are served with their kind, that a browser need
// not load them twice, and that nothing in them is from elsewhere or needs what
// the policy forbids.
func TestPages(t *testing.T) {
	r := start(t, Config{})
	kinds := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/html"}
	for _, path := range []string{"/", "/app.js", "/row.js", "/chart.js", "/format.js", "/session.js", "/style.css", "/icon.svg"} {
		code, h, body := r.ask(t, "GET", path)
		if code != 200 || !strings.HasPrefix(h.Get("Content-Type"), kinds[filepath.Ext(path)]) {
			t.Errorf("%s = %d, %s", path, code, h.Get("Content-Type"))
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if code, _, _ := r.ask(t, "GET", path, "If-None-Match: "+h.Get("Etag")); code != http.StatusNotModified {
			t.Errorf("%s again = %d", path, code)
		}
		body = strings.ReplaceAll(body, "http://www.w3.org/", "")
		if m := regexp.MustCompile(`https?://|//[a-z]+\.|@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|style="|\son[a-z]+="`).FindString(body); m != "" {
			t.Errorf("%s has %q", path, m)
		}
	}
	if code, _, _ := r.ask(t, "GET", "/nothing"); code != 404 {
		t.Errorf("/nothing = %d", code)
	}
}
