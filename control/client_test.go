package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for _, tt := range []struct {
		name  string
		call  func() (any, error)
		want  any // nil: not looked at
		calls string
	}{
		{"devices", func() (any, error) { l, err := r.client.Devices(ctx); return len(l), err }, 3, ""},
		{"device", func() (any, error) { d, err := r.client.Device(ctx, "anna"); return d, err }, r.hub.Devices()[1], ""},
		{"device with a name of path letters", func() (any, error) { d, err := r.client.Device(ctx, "Antik/4S .."); return d.PortPath, err }, "1-3", ""},
		{"records", func() (any, error) { l, err := r.client.Records(ctx); return len(l), err }, 2, ""},
		{"record", func() (any, error) { rec, err := r.client.Record(ctx, "0000811"); return rec, err }, records()[0], ""},
		{"daemon", func() (any, error) { d, err := r.client.Daemon(ctx); return len(d.Devices) + len(d.Records), err }, 5, ""},
		{"trust", func() (any, error) {
			d, err := r.client.Trust(ctx, "1-2", TrustRequest{Touch: true})
			return d.PortPath, err
		}, "1-2", "touch 1-2"},
		{"ask again", func() (any, error) { d, err := r.client.AskAgain(ctx, "1-2"); return d.PortPath, err }, "1-2", "trust 1-2"},
		{"untrust", func() (any, error) { return r.client.Untrust(ctx, "1-2") }, UntrustResult{UDID: annasUDID, Phone: true, Record: true}, "untrust " + annasUDID},
		{"untrust record", func() (any, error) { return r.client.UntrustRecord(ctx, "00008030") }, UntrustResult{UDID: gonesUDID, Phone: true, Record: true}, "untrust " + gonesUDID},
		{"restore", func() (any, error) { return nil, r.client.Restore(ctx, "0000811", "c1") }, nil, "restore " + annasUDID + " c1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.call()
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
			if calls := r.actions.taken(); calls != tt.calls {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
		})
	}
}

// A name reaches the server as it was typed, whatever it is.
func TestClientErrors(t *testing.T) {
	r := newRig(t)
	for ref, code := range map[string]string{
		"": CodeBadRequest, ".": CodeNotFound, "..": CodeNotFound, "../../x": CodeNotFound, "a?b#c%2F": CodeNotFound,
		"%": CodeNotFound, "x\x00\n": CodeNotFound, "0000/trust": CodeNotFound, "2-1": CodeNoMux,
	} {
		_, err := r.client.Untrust(t.Context(), ref)
		var e *Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("Untrust(%q) = %v, want %s", ref, err, code)
		}
		if calls := r.actions.taken(); calls != "" {
			t.Errorf("Untrust(%q) called %q", ref, calls)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	check := func(says string) {
		t.Helper()
		for name, err := range map[string]error{
			"Restore": Dial(path).Restore(t.Context(), "x", "y"),
			"Watch":   Dial(path).Watch(t.Context(), func(Event) error { return nil }),
		} {
			if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "http://") {
				t.Errorf("%s = %v, want %v with %q", name, err, ErrNoDaemon, says)
			}
		}
	}
	check("there is no " + path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	check("nobody listens on " + path)
}

func TestSocketPath(t *testing.T) {
	for _, tt := range []struct{ env, usbmuxd, want string }{
		{"", "/var/run/usbmuxd", DefaultSocket},
		{"", "UNIX:/run/usbmuxd", DefaultSocket},
		{"", "UNIX:/tmp/mux/usbmuxd", "/tmp/mux/usbmuxd.control"},
		{"", "localhost:27015", DefaultSocket},
		{"", "", DefaultSocket},
		{"/tmp/x", "/tmp/mux/usbmuxd", "/tmp/x"},
	} {
		t.Setenv(SocketEnv, tt.env)
		if got := SocketPath(tt.usbmuxd); got != tt.want {
			t.Errorf("SocketPath(%q) with %q = %q, want %q", tt.usbmuxd, tt.env, got, tt.want)
		}
	}
}

// Someone else's server on the socket is told from ours.
func TestForeignServer(t *testing.T) {
	for _, tt := range []struct{ name, answer, says string }{
		{"another API", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", "not of its control API"},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n", "not of its control API"},
		{"other JSON", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "reply"},
		{"no HTTP", "220 smtp\r\n\r\n", "malformed"},
		{"end", "", "gave no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewClient(func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					if _, err := far.Read(make([]byte, 4096)); err == nil {
						_, _ = io.WriteString(far, tt.answer)
					}
				}()
				return near, nil
			})
			if _, err := c.Devices(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Devices = %v, want %q", err, tt.says)
			}
		})
	}
	if answered(&http.Response{StatusCode: 418, Body: http.NoBody}).(*Error).Status != 418 {
		t.Error("the status of an empty answer is lost")
	}
}
