package lockdown

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OpenSSL as the phone's end of TLS, with the strictest and the oldest it has: a
// second implementation beside crypto/tls.
func TestOpenSSLAsPhone(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	for _, tt := range []struct {
		name string
		old  bool // SHA-1 and a key of 1024 bits
		args []string
		want uint16
	}{
		{name: "tls 1.0", old: true, args: []string{"-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"}, want: tls.VersionTLS10},
		{name: "tls 1.1", args: []string{"-tls1_1", "-cipher", "AES128-SHA:@SECLEVEL=0"}, want: tls.VersionTLS11},
		{name: "tls 1.2", args: []string{"-tls1_2"}, want: tls.VersionTLS12},
		{name: "tls 1.3", args: []string{"-tls1_3"}, want: tls.VersionTLS13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := deviceKey()
			if tt.old {
				key = oldKey()
			}
			rec := newRecord(t, &key.PublicKey, tt.old)
			dir := t.TempDir()
			for name, content := range map[string][]byte{
				"device.pem": rec.DeviceCertificate,
				"device.key": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
			} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := append([]string{
				"s_server", "-accept", "127.0.0.1:0", "-cert", "device.pem", "-key", "device.key",
				"-Verify", "1", "-naccept", "1", "-rev",
			}, tt.args...)
			addr := serveOpenSSL(t, dir, openssl, args)

			cfg, err := tlsConfig(rec, Identity{})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			l := link{raw: conn, conn: conn, timeout: DefaultTimeout}
			if err := l.do(t.Context(), l.handshake(cfg)); err != nil {
				t.Fatal(err)
			}
			if got := l.conn.(*tls.Conn).ConnectionState().Version; got != tt.want {
				t.Errorf("version = %s, want %s", tls.VersionName(got), tls.VersionName(tt.want))
			}
			// -rev sends each line back, reversed.
			if _, err := l.conn.Write([]byte("drawer\n")); err != nil {
				t.Fatal(err)
			}
			if got, err := bufio.NewReader(l.conn).ReadString('\n'); err != nil || got != "reward\n" {
				t.Errorf("line = %q, %v; want reward", got, err)
			}
		})
	}
}

// serveOpenSSL starts a server in dir and returns its address. It ends with the
// test.
func serveOpenSSL(t *testing.T, dir, openssl string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, openssl, args...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
	})
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said = append(said, lines.Text())
		if addr, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			return addr
		}
	}
	t.Skipf("openssl %v does not serve: %v", args, said)
	return ""
}
