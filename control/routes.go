package control

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gomuxd/access"
)

// route is one operation of the API.
type route struct {
	method string
	path   string      // a segment in braces is a variable
	verb   access.Verb // that who asks must be allowed; List: anyone
	status int         // of success; 0: the handler writes the answer itself
	handle func(*Server, http.ResponseWriter, *http.Request) (any, error)
}

var routes = []route{
	{"GET", "/v1/devices", access.List, http.StatusOK, (*Server).getDevices},
	{"GET", "/v1/devices/{device}", access.List, http.StatusOK, (*Server).getDevice},
	{"POST", "/v1/devices/{device}/trust", access.Operate, http.StatusAccepted, (*Server).postTrust},
	{"POST", "/v1/devices/{device}/ask-again", access.Operate, http.StatusAccepted, (*Server).postAskAgain},
	{"POST", "/v1/devices/{device}/untrust", access.Operate, http.StatusOK, (*Server).postUntrust},
	{"POST", "/v1/devices/{device}/reset", access.Mend, http.StatusAccepted, (*Server).postReset},
	{"POST", "/v1/devices/{device}/reopen", access.Mend, http.StatusAccepted, (*Server).postReopen},
	{"POST", "/v1/devices/{device}/mode", access.Mend, http.StatusAccepted, (*Server).postMode},
	{"POST", "/v1/devices/{device}/capture", access.Operate, 0, (*Server).postCapture},
	{"GET", "/v1/stats", access.List, http.StatusOK, (*Server).getStats},
	{"GET", "/v1/events", access.List, 0, (*Server).getEvents},
	{"GET", "/v1/records", access.Operate, http.StatusOK, (*Server).getRecords},
	{"GET", "/v1/records/{udid}", access.Operate, http.StatusOK, (*Server).getRecord},
	{"POST", "/v1/records/{udid}/untrust", access.Operate, http.StatusOK, (*Server).postRecordUntrust},
	{"POST", "/v1/records/{udid}/restore", access.Operate, http.StatusNoContent, (*Server).postRestore},
	{"POST", "/v1/untrust-all", access.Operate, http.StatusOK, (*Server).postUntrustAll},
	{"GET", "/v1/daemon", access.List, http.StatusOK, (*Server).getDaemon},
	{"GET", "/v1/doctor", access.List, http.StatusOK, (*Server).getDaemon},
	{"GET", "/v1/openapi.json", access.List, 0, (*Server).getOpenAPI},
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
