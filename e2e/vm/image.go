package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed recipe
var recipe embed.FS

// suite is the Debian release of the guest.
const suite = "bookworm"

// tools are the host's programs by the Debian package that has them: the first
// to run a machine, the others to make its image.
var tools = []struct {
	name, pkg string
	image     bool
}{
	{"qemu-system-x86_64", "qemu-system-x86", false},
	{"mmdebstrap", "mmdebstrap", true},
	{"busybox", "busybox-static", true},
	{"mkfs.ext4", "e2fsprogs", true},
	{"depmod", "kmod", true},
	{"unshare", "util-linux", true},
}

// ErrMissing is wrapped when the host lacks something to run a machine.
var ErrMissing = errors.New("no virtual machine here")

// Available reports what keeps Run from working, nil if nothing does. Without
// an image in the cache it also takes root and the tools to make one.
func Available() error {
	dir, err := imageDir()
	if err != nil {
		return err
	}
	_, err = os.Stat(dir)
	made := err == nil
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.name); err != nil && !(t.image && made) {
			missing = append(missing, t.pkg)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("%w: install %s (.ci/setup vm does)", ErrMissing, strings.Join(missing, " "))
	case !made && os.Getuid() != 0:
		return fmt.Errorf("%w: there is no image in the cache, and only root can make one (make vm-image)", ErrMissing)
	}
	return nil
}

// Cache is the directory of images and locks.
func Cache() (string, error) {
	if dir := os.Getenv("GOMUXD_VM_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "gomuxd-vm"), nil
}

// imageDir is where the image of this recipe is or will be.
func imageDir() (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, suite)
	err = fs.WalkDir(recipe, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := recipe.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return filepath.Join(cache, "image-"+hex.EncodeToString(h.Sum(nil))[:16]), err
}

// Image returns the directory of the guest's vmlinuz, initrd.img and root.img,
// made first if the cache has none of this recipe; older ones are removed then.
// What the making says goes to standard error.
func Image(ctx context.Context) (string, error) {
	dir, err := imageDir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	cache := filepath.Dir(dir)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "image.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // another process has made it meanwhile
	}
	if err := Available(); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(cache, "image-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", err
		}
	}
	making := filepath.Join(cache, "image-making")
	if err := makeImage(ctx, making); err != nil {
		_ = os.RemoveAll(making)
		return "", fmt.Errorf("make vm image: %w", err)
	}
	return dir, os.Rename(making, dir)
}

func makeImage(ctx context.Context, dir string) error {
	scripts, err := os.MkdirTemp("", "gomuxd-vm-recipe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scripts)
	files, err := recipe.ReadDir("recipe")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := recipe.ReadFile("recipe/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(scripts, f.Name()), b, 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// In namespaces of its own, so that its mounts and processes end with it
	// however it ends.
	cmd := exec.Command("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
		"bash", filepath.Join(scripts, "image.sh"), dir, suite)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	return runTied(ctx, cmd)
}

// lock takes an exclusive lock on a file, waiting for its holder until ctx ends.
// Who waits longest has the next turn: the kernel keeps the queue, as it would not
// for those who only ask now and then.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { // as long as flock(2) waits, which nothing interrupts
		for {
			err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
			if !errors.Is(err, unix.EINTR) {
				locked <- err
				return
			}
		}
	}()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return func() { f.Close() }, nil
	case <-ctx.Done():
		go func() {
			<-locked
			f.Close()
		}()
		return nil, fmt.Errorf("wait for another machine, lock %s: %w", path, ctx.Err())
	}
}
