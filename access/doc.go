// Package access says who may do what. The one who asks is the process at the
// other end of a socket, as the kernel knows it; the answer comes from rules, the
// first that fits.
//
//	rules (configuration, then a profile) ──▶ Policy
//	listening socket: name, devices it shows ──▶ Gate ──Admit(conn)──▶ Guest ──May(verb, device, port)
//
// A Guest keeps its Gate, so rules that are read anew hold for clients that are
// here already, from their next request on.
package access
