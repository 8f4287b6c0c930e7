package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gomuxd/access"
)

// Whatever is asked, by whomever, is answered in JSON with a status that fits,
// and only an operator's well-formed request reaches Actions.
func FuzzRequest(f *testing.F) {
	for _, r := range routes {
		f.Add(r.method, strings.NewReplacer("{device}", "1-2", "{udid}", annasUDID).Replace(r.path), `{"copy":"c1"}`, true)
	}
	f.Add("POST", "/v1/devices/Antik%2F4S%20../trust", `{"touch":true}`, true)
	f.Add("POST", "/v1/devices/%2e%2e/trust", `{"touch":1}`, false)
	f.Add("PUT", "/v1//devices/../events?x=%zz", "[", false)
	hub := NewHub(Config{})
	hub.Put("1-2", anna())
	hub.Put("1-3", old())
	hub.Put("2-1", recovery())
	actions := &fakeActions{records: records()}
	srv := NewServer(hub, actions, Config{Gate: gateOf(f, "gid:4321")})
	f.Fuzz(func(t *testing.T, method, path, body string, operator bool) {
		if path == "/v1/events" {
			return // does not end
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		g := &guest{peer: srv.cfg.Gate.Guest(access.Peer{Origin: access.Local, UID: 1<<31 - 7, GID: 1<<31 - 7})}
		if operator {
			g.peer.GID = 4321
		}
		req := httptest.NewRequest("GET", "/", strings.NewReader(body))
		req.Method, req.URL = method, u
		req = req.WithContext(contextOf(req.Context(), g))
		if found, _ := match(req); found != nil && found.status == 0 && found.path != "/v1/openapi.json" {
			return // a stream
		}
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, req)

		calls := actions.taken()
		if calls != "" && (!operator || method != http.MethodPost) {
			t.Fatalf("%s %s by operator=%v called %q", method, path, operator, calls)
		}
		if w.Code == http.StatusNoContent {
			return
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s = %d %q, want JSON", method, path, w.Code, w.Body)
		}
		if w.Code >= 400 {
			var e Error
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Status != w.Code || e.Code == "" || e.Message == "" {
				t.Fatalf("%s %s = %d %s", method, path, w.Code, w.Body)
			}
			if calls != "" {
				t.Fatalf("%s %s = %d, yet called %q", method, path, w.Code, calls)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "{}", "null", `{"copy":"c"}`, `{"copy":1}`, `{"x":1}`, `{} x`, `{"copy":"a","copy":"b"}`, "[", "{\"copy\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var req RestoreRequest
		if err := decodeObject([]byte(in), &req); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeBadRequest {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if text := strings.TrimSpace(in); text != "" && (!json.Valid([]byte(text)) || text[0] != '{') {
			t.Fatalf("%q was taken for an object", in)
		}
	})
}

// Any name survives the way through a path.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"1-2", "..", ".", "a/b", "%2F", "Anna's iPhone", "\xff", "?#", "{device}", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		u, err := endpoint([]string{"devices", ref, "trust"})
		if err != nil {
			if ref != "" {
				t.Fatal(err)
			}
			return
		}
		req, err := http.NewRequest("POST", u, nil)
		if err != nil {
			t.Fatal(err)
		}
		// What goes over the wire is RequestURI, parsed once more.
		if req.URL, err = url.ParseRequestURI(req.URL.RequestURI()); err != nil {
			t.Fatal(err)
		}
		if found, _ := match(req); found == nil || req.PathValue("device") != ref {
			t.Fatalf("%q became %q in %s", ref, req.PathValue("device"), u)
		}
	})
}

// The decoder ends, keeps within its bounds, and understands what is encoded of
// what it understood.
func FuzzMessages(f *testing.F) {
	f.Add(appendComment(appendMessage(nil, 7, "added", []byte(`{"type":"added"}`)), "keep-alive"))
	f.Add([]byte("data: a\ndata\n\r\nid\nevent:x\n\n:\ndata: b"))
	f.Add([]byte("event: error\r\ndata: {\"code\":\"slow\"}\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := newMessages(bytes.NewReader(in))
		var again []byte
		var all []message
		for {
			m, err := d.next()
			if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF && err != errLongMessage {
					t.Fatal(err)
				}
				break
			}
			if len(m.data) > len(in) || len(m.data) > maxMessage {
				t.Fatalf("%d bytes of data in %d", len(m.data), len(in))
			}
			if bytes.ContainsAny(m.data, "\r\n") || strings.Contains(m.kind, "\r") {
				continue // cannot be encoded
			}
			all = append(all, m)
			again = appendMessage(again, uint64(len(all)), m.kind, m.data)
		}
		d = newMessages(bytes.NewReader(again))
		for i, want := range all {
			got, err := d.next()
			if err != nil || got.kind != want.kind || !slices.Equal(got.data, want.data) {
				t.Fatalf("message %d: %+v, %v; want %+v", i, got, err, want)
			}
		}
		_ = watch(bytes.NewReader(in), func(Event) error { return nil })
	})
}

func TestLongMessage(t *testing.T) {
	for _, in := range []string{
		"data: " + strings.Repeat("x", maxMessage) + "\n\n",
		strings.Repeat("data: xxxxxxxxxxxxxxxxxxxxxxxxxx\n", maxMessage/16),
	} {
		if _, err := newMessages(strings.NewReader(in)).next(); err != errLongMessage {
			t.Errorf("a message of %d bytes: %v, want %v", len(in), err, errLongMessage)
		}
	}
}
