package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds what the guest tests need into dir: the tests themselves, the
// daemon, the operator's tool, the virtual phone's command and the hardware check.
// It must run inside the module. The result is for Config.Files.
func Build(ctx context.Context, dir string) (map[string]string, error) {
	files := make(map[string]string)
	for _, b := range []struct {
		name string
		cgo  string
		args []string
	}{
		{"guest.test", "CGO_ENABLED=0", []string{"test", "-c", "-tags", "guest", "-o"}},
		{"virtualphone", "CGO_ENABLED=0", []string{"build", "-o"}},
		{"muxctl", "CGO_ENABLED=0", []string{"build", "-o"}},
		{"gomuxd", "CGO_ENABLED=1", []string{"build", "-o"}}, // libusb
		{"hardware", "CGO_ENABLED=1", []string{"build", "-o"}},
	} {
		pkg := map[string]string{
			"guest.test": "gomuxd/e2e/guest", "virtualphone": "gomuxd/cmd/virtualphone", "muxctl": "gomuxd/cmd/muxctl",
			"gomuxd": "gomuxd/cmd/usbmuxd", "hardware": "gomuxd/e2e/hardware",
		}[b.name]
		file := filepath.Join(dir, b.name)
		cmd := exec.CommandContext(ctx, "go", append(b.args, file, pkg)...)
		cmd.Env = append(os.Environ(), b.cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
		files[b.name] = file
	}
	return files, nil
}
