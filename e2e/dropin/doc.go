// Package dropin compares the daemon with the C usbmuxd that it replaces, as
// Debian has it: options, exit codes, output, signals, files and locks. Each row
// of the table runs either of them in a box of its own, a private machine as far
// as mounts, processes and network go, where both use the paths they are built
// for. What differs must be listed, with its reason, in docs/compatibility.md.
package dropin
