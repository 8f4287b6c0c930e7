// Package guest holds the tests that run inside the virtual machine, against a
// daemon on real kernel USB, with virtual iPhones plugged in over USB/IP. They
// have the build tag guest and are driven by package vm:
//
//	make e2e                                          all of them
//	go run ./e2e/vm/vmrun test -test.run Replug       some, against our daemon
//	go run ./e2e/vm/vmrun -env GUEST_DAEMON=c test    against Debian's C daemon
//
// The C daemon is the control group: what it can do shows that the virtual
// phone is right. Tests of what it is known not to do skip it and say so.
package guest
