package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gomuxd/access"
)

// maxBody is the largest request body, in bytes.
const maxBody = 64 << 10

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.HeaderTimeout))
	}
	t, err := s.admitRequest(w, r)
	if err != nil {
		s.reply(w, err.Status, err)
		return
	}
	result, failure := t.handle(s, w, r)
	switch {
	case failure != nil:
		e := asError(failure)
		s.reply(w, e.Status, e)
	case t.status != 0:
		s.reply(w, t.status, result)
	}
}

// admitRequest applies the rules that hold for every request.
func (s *Server) admitRequest(w http.ResponseWriter, r *http.Request) (*route, *Error) {
	g := guestOf(r.Context())
	switch {
	case g == nil || g.busy:
		w.Header().Set("Connection", "close")
		return nil, Errorf(CodeBusy, "too many connections to the control socket: try again in a moment")
	case len(r.Header.Values("Origin")) > 0:
		return nil, Errorf(CodeForbidden, "a request with an Origin header is refused, since this is not for web pages: use \"muxctl serve\" for those")
	}
	t, allowed := match(r)
	switch {
	case t == nil && allowed == nil:
		return nil, Errorf(CodeUnknown, "there is no %q: GET /v1/openapi.json lists what there is", r.URL.Path)
	case t == nil:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		e := Errorf(CodeUnknown, "%s does not fit %s: use %s", r.Method, r.URL.Path, strings.Join(allowed, " or "))
		e.Status = http.StatusMethodNotAllowed
		return nil, e
	case r.Method == http.MethodGet && r.ContentLength != 0:
		return nil, Errorf(CodeBadRequest, "GET takes no body: leave it out")
	case r.URL.RawQuery != "":
		return nil, Errorf(CodeBadRequest, "%s takes no query: leave out %q", r.URL.Path, r.URL.RawQuery)
	case t.verb != access.List:
		if e := s.allows(r, t.verb, access.Device{}); e != nil {
			return nil, e
		}
	}
	return t, nil
}

// decode reads a request's body, a JSON object, into v. No body at all is an
// empty object.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		e := Errorf(CodeBadRequest, "the body is longer than %d bytes: shorten it", large.Limit)
		e.Status = http.StatusRequestEntityTooLarge
		return e
	case err != nil:
		return Errorf(CodeBadRequest, "the body: %v", err)
	}
	// The action may take longer. After an error the deadline stays: net/http still
	// reads what is left of the body.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return decodeObject(b, v)
}

// decodeObject decodes one JSON object of which every field is known to v.
func decodeObject(b []byte, v any) error {
	text := strings.TrimSpace(string(b))
	if text == "" {
		return nil
	}
	if text[0] != '{' {
		return Errorf(CodeBadRequest, "the body is no JSON object: write one, as openapi.json has it")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Errorf(CodeBadRequest, "the body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.InputOffset() != int64(len(text)) {
		return Errorf(CodeBadRequest, "something follows the body's JSON object: leave it out")
	}
	return nil
}

// reply writes a JSON answer; none if v is nil.
func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
	w.Header().Set("Cache-Control", "no-store")
	if v == nil {
		w.WriteHeader(status)
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("control: " + err.Error()) // all answers are ours
	}
	b = append(b, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
