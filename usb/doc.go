// Package usb drives one plugged phone: it brings the phone up, claims its usbmux
// interface and carries mux packets over the interface's two bulk endpoints.
//
// # Two ways to the kernel
//
// gousb (libusb) asks a phone what the kernel does not know: another mode, a serial
// number that was not read when it came. It ends with the bring-up, since its
// event loop wakes ten times a second for as long as a context lives. For all else
// the package opens the device node itself: it has the kernel set the configuration,
// claims the interface, and moves URBs by ioctl, woken by Go's poller. Measured
// against the reference on an emulated bus, that moves twice the bytes at a third of
// the CPU; gousb's bulk path moves half of them at two to three times the CPU. libusb
// looks at every device each time it starts: of 32 phones without a configuration the
// last was served after 11 s there, and after 3 s without libusb.
//
//	Open   look: sysfs ─▶ lacks nothing ──────────────────────────────────┐
//	                   ├▶ lacks its configuration ─▶ turn ─▶ usbfs ───────┤
//	                   └▶ lacks more ─▶ turn ─▶ libusb: mode, serial ─────┴▶ node: claim ─▶ Pipe
//	Read   poller ─▶ reap until EAGAIN ─▶ IN frame ─▶ copy out ─▶ submit it again
//	                                  └▶ OUT frame ─▶ free
//	Write  free frame ─▶ copy in ─▶ submit (with its ZLP) ─▶ return
//
// # Bring-up
//
// The phone's configurations tell its mode (guessMode); where the policy wants
// another, vendor requests 0x45 and 0x52 ask for it, and the phone comes back by
// itself as another device: ErrModeSwitched. A phone that agrees and comes back
// as it was is asked again after a minute at the earliest, and used as it is.
//
// Of the configurations that have an interface of exactly class 255, subclass
// 254, protocol 2 with one bulk endpoint each way, the one with the highest value
// is selected if it is not active; if it cannot be, the next. Only then are kernel
// drivers taken off the interfaces of the active one, never from another program.
// gousb's own detaching is not used: it goes by the interfaces of the wanted
// configuration and fails (EHOSTUNREACH) on a phone that udev has unconfigured.
// Nothing is put back at the end.
//
// One phone at a time is brought up. One that does not answer holds the
// others up by Config.Timeout, once: while the kernel keeps that attempt, others
// for the same node fail with ErrHung at once.
//
// A phone that has its configuration and mode already, as when a daemon starts anew,
// needs no turn: sysfs tells all.
//
// Where libusb does not start (netlink forbidden), or does not see the phone (some
// containers), its steps go by usbfs and sysfs, too.
//
// # Who else touches a phone
//
// Debian's udev rule unconfigures a phone that has just come, and the kernel's
// apple-mfi-fastcharge configures it again moments later. Each takes a claimed
// interface away; transfers then end with ESHUTDOWN, ENOENT or ENODEV, and usbfs
// would silently claim the interface anew at the next submission. So the pipe
// submits nothing after such an end but fails: with ErrGone if the phone has left,
// ErrConfiguration if it is configured otherwise, ErrClaimLost if neither. The
// owner opens it again.
//
// # Transfers
//
// IN transfers hold a whole segment of 32,764 bytes and a packet more, and
// are a multiple of the packet size, since a phone would overflow any other. All are in flight
// but those whose data has not been read. A zero-length completion is the ZLP of
// a message that filled the transfer before: it is submitted again.
//
// An OUT transfer is one mux packet. The kernel appends a ZLP to one whose length
// is a multiple of the packet size (USBDEVFS_URB_ZERO_PACKET); a kernel that
// cannot gets a transfer of length zero behind it.
//
// What goes wrong, and what is done:
//
//	IN stall (EPIPE)                    take the others back, clear the halt, go on
//	IN EPROTO, EILSEQ, ETIME            the same; what has arrived is good
//	IN overflow (babble)                ErrOverflow: bytes of the stream are lost
//	OUT stall, nothing taken            clear the halt, send it and those behind it again
//	OUT stall, part taken               ErrStalled: the phone holds half a packet
//	OUT EPROTO, EILSEQ, ETIME           ErrTransfer: it may or may not have arrived
//	three recoveries without success    ErrStalled or ErrTransfer
//	ENODEV                              ErrGone, without a look at sysfs
//	ENOMEM                              fewer transfers, then smaller ones, then ErrMemory
//
// # Memory
//
// usbfs grants 16 MiB to all programs together by default, and memory mapped from
// it counts as long as it is mapped. Budget shares it out; Config.NoMmap does
// without mapping, for boards where such memory is not cached. The kernel holds
// the addresses of URB and buffer from submission to reaping: frames live as
// long as their pipe and Go moves no heap memory.
//
// # Locks and the end
//
// Read holds readMu, Write holds writeMu, each for its whole call; Next holds readMu
// until Return, Lend holds writeMu until Submit, or until a packet without memory has
// got some. mu is short: it guards submitting, reaping and what belongs to frames in flight. DISCARDURB,
// CLEAR_HALT and closing a node wait in the kernel, without end if a host
// controller never completes, and may be called by the reader (without mu) or by
// teardown, a goroutine of Close. Close waits for it one second, then returns
// ErrStuck and leaves it to the kernel.
//
// Submitting and reaping go past Go's scheduler (RawSyscall) while all is well;
// see node for why and when not.
//
// Sources: linux/usbdevice_fs.h for requests and layouts; the USB 2.0
// specification for endpoints, halts and descriptors; observation of phones and of the
// reference usbmuxd, and its public issue reports.
package usb
