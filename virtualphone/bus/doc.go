// Package bus joins virtual iPhones in one process to a daemon in another. They
// outlive it, as real ones do: what their screens show stays when the daemon ends,
// and their owner answers, or pulls the cable, while there is none.
//
// # Wire
//
// A connection to the bus's Unix socket begins with one line of JSON:
//
//	{"watch":true}                what is plugged in, what follows
//	{"claim":"SERIAL","plug":3}   the usbmux interface of a phone
//	{"reset":"SERIAL","plug":3}   a reset of its USB device
//
// Watch is answered by a line of JSON for each [Event], for as long as the
// connection lasts. Claim turns it into the pipe of one plugged period: each mux
// packet of the host comes behind its length, 4 bytes, big-endian; the phone's bytes
// go as they are. The end of the connection is the host's letting go of the
// interface, the unplug or a reset; a claim of what is not plugged in any more ends at
// once. Reset is answered by an empty line when it is done, or by what is wrong.
package bus
