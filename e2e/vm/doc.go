// Package vm boots a machine of its own under QEMU, with Debian's kernel, its
// USB modules and its userland, and runs a program in it. It is where a daemon
// meets a real kernel, udev, systemd and the C usbmuxd, on hosts that have
// neither USB nor a phone: the guest plugs virtual iPhones in by package usbip.
//
// # The machine
//
//	image    kernel, initramfs and root disk, made once from Debian packages by
//	         recipe/image.sh and cached by a hash of the recipe
//	boot     initramfs: modules, root disk read-only, a tmpfs over it
//	init     fast: a shell script, udevd if asked; systemd: all of it
//	job      files come in by a 9p share and are copied to /job, a tmpfs; the
//	         program's output leaves by a virtio port, its files by /out, its
//	         exit status by isa-debug-exit
//
// Nothing is written to the image, so that every run starts from the same
// state, and nothing is left behind: the program under test dies with its
// machine, and the machine with the process that started it. What has to outlive
// a boot goes to a disk of its own, Config.Disk.
//
// QEMU emulates the processor unless GOMUXD_VM_ACCEL names another accelerator,
// such as kvm. Emulated code is many times slower: all timeouts are multiplied
// by [Factor], in the guest too.
//
// # Files
//
// The cache is $GOMUXD_VM_CACHE, or gomuxd-vm below the user's cache directory.
// One machine runs at a time for each cache. The console of a run that failed
// stays in the temporary directory; the error names it.
package vm
