package control

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of the API.
type route struct {
	method   string
	path     string // a segment in braces is a variable
	operator bool   // for root, the daemon's user and the group only
	status   int    // of success; 0: the handler writes the answer itself
	handle   func(*Server, http.ResponseWriter, *http.Request) (any, error)
}

var routes = []route{
	{"GET", "/v1/devices", false, http.StatusOK, (*Server).getDevices},
	{"GET", "/v1/devices/{device}", false, http.StatusOK, (*Server).getDevice},
	{"POST", "/v1/devices/{device}/trust", true, http.StatusAccepted, (*Server).postTrust},
	{"POST", "/v1/devices/{device}/ask-again", true, http.StatusAccepted, (*Server).postAskAgain},
	{"POST", "/v1/devices/{device}/untrust", true, http.StatusOK, (*Server).postUntrust},
	{"POST", "/v1/devices/{device}/capture", true, 0, (*Server).postCapture},
	{"GET", "/v1/stats", false, http.StatusOK, (*Server).getStats},
	{"GET", "/v1/events", false, 0, (*Server).getEvents},
	{"GET", "/v1/records", true, http.StatusOK, (*Server).getRecords},
	{"GET", "/v1/records/{udid}", true, http.StatusOK, (*Server).getRecord},
	{"POST", "/v1/records/{udid}/untrust", true, http.StatusOK, (*Server).postRecordUntrust},
	{"POST", "/v1/records/{udid}/restore", true, http.StatusNoContent, (*Server).postRestore},
	{"POST", "/v1/untrust-all", true, http.StatusOK, (*Server).postUntrustAll},
	{"GET", "/v1/daemon", false, http.StatusOK, (*Server).getDaemon},
	{"GET", "/v1/doctor", false, http.StatusOK, (*Server).getDaemon},
	{"GET", "/v1/openapi.json", false, 0, (*Server).getOpenAPI},
}

// match finds the route of a request and sets its variables. Segments are
// unescaped one by one: a phone's name may contain a slash. If the path is known
// but the method is not, allowed has those that are.
func match(r *http.Request) (found *route, allowed []string) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i := range segments {
		s, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, nil
		}
		segments[i] = s
	}
	for i := range routes {
		vars, ok := routes[i].vars(segments)
		switch {
		case !ok:
		case routes[i].method != r.Method:
			allowed = append(allowed, routes[i].method)
		default:
			for name, value := range vars {
				r.SetPathValue(name, value)
			}
			return &routes[i], nil
		}
	}
	slices.Sort(allowed)
	return nil, slices.Compact(allowed)
}

// vars compares a path with the route's and returns what its variables stand
// for, none of which may be empty.
func (t *route) vars(segments []string) (map[string]string, bool) {
	want := strings.Split(t.path, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	vars := make(map[string]string)
	for i, w := range want {
		name, variable := strings.CutPrefix(w, "{")
		switch {
		case variable && segments[i] != "":
			vars[strings.TrimSuffix(name, "}")] = segments[i]
		case variable || w != segments[i]:
			return nil, false
		}
	}
	return vars, true
}
