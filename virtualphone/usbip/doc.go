// Package usbip makes a virtual iPhone a USB device: descriptors, control
// requests and bulk endpoints of a real phone, served to a kernel over USB/IP.
// The kernel's virtual host controller vhci_hcd takes one end of a socket pair,
// so that all above the cable is real: enumeration, sysfs, uevents, udev, usbfs.
//
// # Layers
//
//	Gadget   the device: descriptors, configuration, USB mode, halts, faults
//	Serve    one plugged period over one stream socket
//	Attach   puts a socket into a port of vhci_hcd
//	Follow   keeps a phone's cable in a port, through unplugs and mode switches
//
// # Frames
//
// All words are big-endian. A frame has 48 bytes and, where it carries data,
// the data after it:
//
//	 0         4        8       12          16   20
//	| command | seqnum | devid | direction | ep | ...
//	submit (1)           flags | length | start frame | packets | interval | setup (8)
//	submit's answer (3)  status | actual length | start frame | packets | errors | 0 (8)
//	unlink (2)           seqnum of the submit | 0
//	unlink's answer (4)  status | 0
//
// The direction is 0 for OUT, whose data follow the submit, and 1 for IN, whose
// data follow the answer. Isochronous requests have a 16-byte descriptor for
// each of their packets after the data. Statuses are negative errno values.
// An unlinked request gets the answer to the unlink alone, with -ECONNRESET, if
// it was still pending; otherwise its own answer goes first and the unlink's
// has status 0.
//
// # The phone on the bus
//
// Modes and their configurations, as real phones show them:
//
//	mode 1  1 PTP | 2 PTP, audio, HID | 3 PTP, usbmux | 4 PTP, usbmux, Ethernet
//	mode 2  ... and 5 PTP, usbmux, Valeria
//	mode 3  ... and 5 PTP, usbmux, CDC-NCM
//	mode 4  ... and 5 as in mode 3, and 6 PTP, usbmux, Ethernet, CDC-NCM
//	mode 5  1 CDC-NCM, without usbmux
//
// usbmux is class 255, subclass 254, protocol 2, bulk OUT 0x04 and IN 0x85.
//
// # Goroutines
//
// Serve reads frames on its caller's goroutine. IN transfers of usbmux are carried
// out, one at a time and in turn, by whoever brings what they wait for: that
// goroutine brings requests and what the host sends, a service brings data.
// Follow runs on its caller's goroutine.
package usbip
