package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	type check struct {
		name, method, path, body string
		status                   int
		code                     string // of the Error
		has                      string // in the body
		calls                    string // of Actions
	}
	checks := []check{
		{name: "devices", method: "GET", path: "/v1/devices", status: 200, has: `"name":"Anna's iPhone"`},
		{name: "device", method: "GET", path: "/v1/devices/0000811", status: 200, has: `"device_id":3,"udid":"` + annasUDID},
		{name: "device by escaped name", method: "GET", path: "/v1/devices/Antik%2F4S%20%2E%2E", status: 200, has: oldUDID},
		{name: "device below the mux", method: "GET", path: "/v1/devices/2-1", status: 200, has: `"device_id":null,"udid":null`},
		{name: "no device", method: "GET", path: "/v1/devices/9-9", status: 404, code: CodeNotFound},
		{name: "ambiguous device", method: "GET", path: "/v1/devices/An", status: 409, code: CodeAmbiguous},
		{name: "empty device", method: "GET", path: "/v1/devices/", status: 404, code: CodeUnknown},

		{name: "trust", method: "POST", path: "/v1/devices/Anna's%20iPhone/trust", status: 202, has: annasUDID, calls: "trust 1-2"},
		{name: "trust with body", method: "POST", path: "/v1/devices/1-2/trust", body: `{"touch":true}`, status: 202, calls: "touch 1-2"},
		{name: "trust with null", method: "POST", path: "/v1/devices/1-2/trust", body: `null`, status: 400, code: CodeBadRequest},
		{name: "trust with a typo", method: "POST", path: "/v1/devices/1-2/trust", body: `{"tuoch":true}`, status: 400, code: CodeBadRequest, has: `\"tuoch\"`},
		{name: "trust with a wrong type", method: "POST", path: "/v1/devices/1-2/trust", body: `{"touch":"yes"}`, status: 400, code: CodeBadRequest, has: "touch"},
		{name: "trust with more", method: "POST", path: "/v1/devices/1-2/trust", body: `{} {}`, status: 400, code: CodeBadRequest},
		{name: "trust with half", method: "POST", path: "/v1/devices/1-2/trust", body: `{"touch"`, status: 400, code: CodeBadRequest},
		{name: "trust with too much", method: "POST", path: "/v1/devices/1-2/trust", body: `{"` + strings.Repeat("a", maxBody) + `":1}`, status: 413, code: CodeBadRequest},
		{name: "trust below the mux", method: "POST", path: "/v1/devices/2-1/trust", status: 409, code: CodeNoMux, has: "recovery"},
		{name: "trust nobody", method: "POST", path: "/v1/devices/zoe/trust", status: 404, code: CodeNotFound},
		{name: "ask again", method: "POST", path: "/v1/devices/1-2/ask-again", body: "{}", status: 202, calls: "trust 1-2"},
		{name: "ask again with body", method: "POST", path: "/v1/devices/1-2/ask-again", body: `{"touch":true}`, status: 400, code: CodeBadRequest},
		{name: "capture of port 0", method: "POST", path: "/v1/devices/1-2/capture", body: `{"ports":[0]}`, status: 400, code: CodeBadRequest},
		{name: "capture below the mux", method: "POST", path: "/v1/devices/2-1/capture", status: 409, code: CodeNoMux},
		{name: "capture nobody", method: "POST", path: "/v1/devices/zoe/capture", status: 404, code: CodeNotFound},
		{name: "untrust", method: "POST", path: "/v1/devices/0123/untrust", status: 200, has: `{"udid":"` + oldUDID + `","phone":true,"record":true}`, calls: "untrust " + oldUDID},
		{name: "untrust below the mux", method: "POST", path: "/v1/devices/2-1/untrust", status: 409, code: CodeNoMux},

		{name: "records", method: "GET", path: "/v1/records", status: 200, has: `"copies":[]`},
		{name: "record", method: "GET", path: "/v1/records/00008030", status: 200, has: `"host_id":"H2"`},
		{name: "record by name", method: "GET", path: "/v1/records/anna's%20iphone", status: 200, has: `"host_id":"H1"`},
		{name: "no record", method: "GET", path: "/v1/records/0123", status: 404, code: CodeNoRecord},
		{name: "ambiguous record", method: "GET", path: "/v1/records/0000", status: 409, code: CodeAmbiguous},
		{name: "record of an ambiguous phone", method: "GET", path: "/v1/records/An", status: 409, code: CodeAmbiguous},
		{name: "untrust the absent", method: "POST", path: "/v1/records/00008030/untrust", status: 200, calls: "untrust " + gonesUDID},
		{name: "untrust the unknown", method: "POST", path: "/v1/records/" + oldUDID + "/untrust", status: 200, calls: "untrust " + oldUDID},
		{name: "untrust nobody", method: "POST", path: "/v1/records/0001/untrust", status: 404, code: CodeNoRecord},
		{name: "restore", method: "POST", path: "/v1/records/0000811/restore", body: `{"copy":"c1"}`, status: 204, calls: "restore " + annasUDID + " c1"},
		{name: "restore nothing", method: "POST", path: "/v1/records/0000811/restore", status: 400, code: CodeBadRequest, has: "copy"},
		{name: "restore what was set aside", method: "POST", path: "/v1/records/00008020-0123456789ABCDEF/restore", body: `{"copy":"c"}`, status: 204, calls: "restore 00008020-0123456789ABCDEF c"},
		{name: "restore a path", method: "POST", path: "/v1/records/%2E%2E%2Fetc/restore", body: `{"copy":"c"}`, status: 404, code: CodeNoRecord},
		{name: "untrust all", method: "POST", path: "/v1/untrust-all", status: 200, has: gonesUDID},

		{name: "daemon", method: "GET", path: "/v1/daemon", status: 200, has: `"sockets":[]`},
		{name: "doctor", method: "GET", path: "/v1/doctor", status: 200, has: `"host_id":"H1"`},
		{name: "reset", method: "POST", path: "/v1/devices/anna/reset", status: 202, has: annasUDID, calls: "reset 1-2"},
		{name: "reset below the multiplexer", method: "POST", path: "/v1/devices/2-1/reset", status: 202, has: "recovery", calls: "reset 2-1"},
		{name: "reset of nobody", method: "POST", path: "/v1/devices/nobody/reset", status: 404, code: CodeNotFound},
		{name: "reset of two", method: "POST", path: "/v1/devices/an/reset", status: 409, code: CodeAmbiguous},
		{name: "reopen", method: "POST", path: "/v1/devices/anna/reopen", status: 202, has: annasUDID, calls: "reopen 1-2"},
		{name: "mode", method: "POST", path: "/v1/devices/anna/mode", body: `{"mode":3}`, status: 202, has: annasUDID, calls: "mode 1-2 3"},
		{name: "mode that is none", method: "POST", path: "/v1/devices/anna/mode", body: `{"mode":6}`, status: 400, code: CodeBadRequest},
		{name: "mode without one", method: "POST", path: "/v1/devices/anna/mode", status: 400, code: CodeBadRequest},
		{name: "stats", method: "GET", path: "/v1/stats", status: 200, has: `"connects":`},
		{name: "openapi", method: "GET", path: "/v1/openapi.json", status: 200, has: `"openapi": "3.1.0"`},
		{name: "nothing", method: "GET", path: "/", status: 404, code: CodeUnknown},
		{name: "unknown", method: "GET", path: "/v1/nonsense", status: 404, code: CodeUnknown},
		{name: "dots are not followed", method: "GET", path: "/v1/x/../devices", status: 404, code: CodeUnknown},
	}
	r := newRig(t)
	covered := map[string]bool{"GET /v1/events": true, "POST /v1/devices/{device}/capture": true} // have tests of their own
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			got := r.ask(c.method, c.path, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.has) {
				t.Fatalf("%s %s = %d %s; want %d with %s", c.method, c.path, got.status, got.body, c.status, c.has)
			}
			if c.code != "" {
				if e := got.error(t); e.Code != c.code {
					t.Errorf("code %s (%s), want %s", e.Code, e.Message, c.code)
				}
			}
			if kind := got.header.Get("Content-Type"); c.status != 204 && kind != "application/json" {
				t.Errorf("content type %q", kind)
			}
			if calls := r.actions.taken(); calls != c.calls && !strings.HasSuffix(c.path, "-all") {
				t.Errorf("calls %q, want %q", calls, c.calls)
			}
			if req, _ := http.NewRequest(c.method, "http://x"+c.path, nil); c.status < 300 {
				if found, _ := match(req); found != nil {
					covered[found.method+" "+found.path] = true
				}
			}
		})
	}
	for _, route := range routes {
		if !covered[route.method+" "+route.path] {
			t.Errorf("%s %s has no test", route.method, route.path)
		}
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code, allow              string
	}{
		{name: "method", method: "POST", path: "/v1/devices", status: 405, code: CodeUnknown, allow: "GET"},
		{name: "method of an action", method: "GET", path: "/v1/devices/1-2/trust", status: 405, code: CodeUnknown, allow: "POST"},
		{name: "delete", method: "DELETE", path: "/v1/records/x", status: 405, code: CodeUnknown, allow: "GET"},
		{name: "options", method: "OPTIONS", path: "/v1/devices", status: 405, code: CodeUnknown, allow: "GET"},
		{name: "origin", method: "GET", path: "/v1/devices", headers: []string{"Origin", "http://localhost"}, status: 403, code: CodeForbidden},
		{name: "empty origin", method: "POST", path: "/v1/untrust-all", headers: []string{"Origin", ""}, status: 403, code: CodeForbidden},
		{name: "query", method: "GET", path: "/v1/devices?all=1", status: 400, code: CodeBadRequest},
		{name: "body of a GET", method: "GET", path: "/v1/devices", body: "{}", status: 400, code: CodeBadRequest},
		{name: "bad escape", method: "GET", path: "/v1/devices/%ff%00", status: 404, code: CodeNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.ask(tt.method, tt.path, tt.body, tt.headers...)
			if e := got.error(t); got.status != tt.status || e.Code != tt.code || got.header.Get("Allow") != tt.allow {
				t.Errorf("%d %s, Allow %q; want %d %s, %q", got.status, e.Code, got.header.Get("Allow"), tt.status, tt.code, tt.allow)
			}
			if calls := r.actions.taken(); calls != "" {
				t.Errorf("calls %q", calls)
			}
		})
	}
}

// What an action fails with reaches the client.
func TestActionErrors(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{errors.New("disk full"), 500, CodeFailed},
		{&Error{Status: 423, Code: "locked", Message: "unlock it"}, 423, "locked"},
		{&Error{Code: CodeAbsent}, 409, CodeAbsent},
		{&Error{Status: 200, Message: "nonsense"}, 500, CodeFailed},
		{errors.Join(errors.New("restore"), Errorf(CodeNoRecord, "gone")), 404, CodeNoRecord},
	} {
		r.actions.err = tt.err
		got := r.ask("POST", "/v1/devices/1-2/trust", "")
		if e := got.error(t); got.status != tt.status || e.Code != tt.code {
			t.Errorf("%v: %d %+v, want %d %s", tt.err, got.status, e, tt.status, tt.code)
		}
	}
}

func TestUntrustAll(t *testing.T) {
	r := newRig(t)
	r.actions.broken = gonesUDID
	got, err := r.client.UntrustAll(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("UntrustAll = %v, %v", got, err)
	}
	if got[0].UDID != annasUDID || got[0].Error != "" || got[1].UDID != gonesUDID || got[1].Error != "the phone is locked" {
		t.Errorf("UntrustAll = %+v", got)
	}
}

// Nothing but lists where the API says lists, also of an empty daemon.
func TestEmpty(t *testing.T) {
	r := newRig(t)
	r.actions.records = nil
	for _, key := range []string{"1-2", "1-3", "2-1"} {
		r.hub.Remove(key)
	}
	for path, want := range map[string]string{"/v1/devices": "[]", "/v1/records": "[]"} {
		if got := r.ask("GET", path, ""); strings.TrimSpace(got.body) != want {
			t.Errorf("%s = %s, want %s", path, got.body, want)
		}
	}
	if got := r.ask("POST", "/v1/untrust-all", ""); strings.TrimSpace(got.body) != "[]" {
		t.Errorf("untrust-all = %s", got.body)
	}
	if got := r.ask("GET", "/v1/daemon", ""); !strings.Contains(got.body, `"devices":[],"records":[]`) {
		t.Errorf("daemon = %s", got.body)
	}
}

// net/http answers OPTIONS * itself unless told not to.
func TestRawRequest(t *testing.T) {
	r := newRig(t)
	conn, err := r.pipes.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 404 ") || !json.Valid(b[strings.Index(string(b), "\r\n\r\n"):]) {
		t.Errorf("OPTIONS * = %q, %v", b, err)
	}
}
