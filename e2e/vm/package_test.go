package vm_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/e2e/vm"
)

// deb builds the Debian package of the sources in root, as a version, and returns
// the file.
func deb(t *testing.T, root, version string) string {
	t.Helper()
	dist := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", root, "deb", "DIST="+dist, "VERSION="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	all, err := filepath.Glob(filepath.Join(dist, "gomuxd_*.deb"))
	if err != nil || len(all) != 1 {
		t.Fatalf("want one package, got %q, %v", all, err)
	}
	return all[0]
}

// TestVMPackage proves that the Debian package is the same from every build, and
// that it replaces Debian's usbmuxd, is upgraded and removed, without a phone that
// trusts this computer noticing.
func TestVMPackage(t *testing.T) {
	needVM(t, true)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	first, second := deb(t, root, "1.2.1+gone"), deb(t, root, "1.2.2+gtwo")
	elsewhere := filepath.Join(t.TempDir(), "sources")
	if out, err := exec.Command("cp", "-a", root, elsewhere).CombinedOutput(); err != nil {
		t.Fatalf("copy the sources: %v: %s", err, out)
	}
	want, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(deb(t, elsewhere, "1.2.1+gone"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("a second build in another directory gives another package")
	}
	machine(t, vm.Config{
		Flavour: vm.Systemd,
		Files:   map[string]string{"gomuxd_1.deb": first, "gomuxd_2.deb": second},
		Env:     map[string]string{"GUEST_CYCLES": fmt.Sprint(100)},
		Timeout: 40 * time.Minute,
	}, "^TestPackage$", "^$")
}

// TestVMService proves that the service of the package does everything without any
// right, and that its sockets are always there.
func TestVMService(t *testing.T) {
	needVM(t, true)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	machine(t, vm.Config{
		Flavour: vm.Systemd,
		Files:   map[string]string{"gomuxd_1.deb": deb(t, root, "1.2.1+gone"), "gomuxd_2.deb": deb(t, root, "1.2.2+gtwo")},
		Timeout: 15 * time.Minute,
	}, "^TestService$", "^$")
}
