package address

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, network, address string }{
		{"UNIX:/run/usbmuxd", "unix", "/run/usbmuxd"},
		{"unix:///run/usbmuxd", "unix", "/run/usbmuxd"},
		{"/run/usbmuxd", "unix", "/run/usbmuxd"},
		{"/run/a:27015", "unix", "/run/a:27015"},
		{"./usbmuxd", "unix", "./usbmuxd"},
		{"sock", "unix", "sock"},
		{"localhost:27015", "tcp", "localhost:27015"},
		{"usbmuxd.sock", "unix", "usbmuxd.sock"},
		{"127.0.0.1:27015", "tcp", "127.0.0.1:27015"},
		{"tcp://127.0.0.1:27015", "tcp", "127.0.0.1:27015"},
		{"[::1]:27015", "tcp", "[::1]:27015"},
		{"::1:27015", "tcp", "[::1]:27015"},
		{"localhost:1", "tcp", "localhost:1"},
		{"tls:192.168.7.1:27016", "tls", "192.168.7.1:27016"},
		{"TLS:lab:27016", "tls", "lab:27016"},
		{"tls:[::]:27016", "tls", "[::]:27016"},
		{"tls://lab:27016", "tls", "lab:27016"},
		{"tcp://tls:27016", "tcp", "tls:27016"},
		{"tls:27016", "", ""},
		{"tls::27016", "", ""},
		{"tls:lab", "", ""},
		{"tls:", "", ""},
		{"tls:/run/usbmuxd", "", ""},
		{"", "", ""},
		{"UNIX:", "", ""},
		{"tcp://host", "", ""},
		{"tcp://localhost", "", ""},
		{"localhost:port", "", ""},
		{"host:", "", ""},
		{"host:0", "", ""},
		{"host:65536", "", ""},
		{"host:http", "", ""},
		{"[::1:27015", "", ""},
		{"/" + strings.Repeat("x", 107), "", ""},
	} {
		network, address, err := Parse(tt.in)
		if network != tt.network || address != tt.address || (tt.network == "") != errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %q %q %v, want %q %q", tt.in, network, address, err, tt.network, tt.address)
		}
	}
}
