// Package hotplug reports that an Apple device was plugged in or pulled out.
//
// # How it knows
//
// sysfs is the truth; everything else says where to look. A Monitor holds what
// sysfs shows against what its receiver was told and computes the next event
// from the difference, at the moment the receiver is ready:
//
//	uevents ─┐
//	rescans ─┼─▶ look at sysfs ─▶ ledger: actual | told ─▶ Add, Remove
//	timers  ─┘
//
// So a lost, late, doubled or forged uevent costs a look and changes nothing; a
// slow receiver costs no memory beyond the devices themselves; what came and
// went while it was busy leaves no trace, or one Remove if it knew the device;
// and Add and Remove alternate for each path. A device is the same one as before
// if path, bus, address and the inode of its sysfs directory are: addresses wrap
// after 127, inodes of sysfs are not reused in practice. All attributes are read
// through one directory handle, which cannot mix a device with its successor.
//
// Looks are taken when a uevent names a path; at all paths at the start, when the
// kernel reports a lost message and again when the socket has been read up (it
// goes on dropping in silence until then), on Rescan, on resume from suspend, and
// once a minute. A device that cannot be read, or that still shows after its
// removal, is looked at again a few times within three seconds.
//
// A device whose Kind changes in place is reported as Remove and Add with the
// same Bus and Address. "change" and "bind" uevents lead to such a look, as does
// every rescan: a NoMux phone becomes Mux when its descriptors hold the interface
// after all. A USB mode switch needs none of this: the phone re-enumerates.
//
// # Uevents
//
// A NETLINK_KOBJECT_UEVENT socket has two multicast groups. The kernel (group 1,
// port id 0) sends
//
//	add@/devices/pci0000:00/.../usb1/1-2\0ACTION=add\0DEVPATH=...\0SUBSYSTEM=usb\0
//	DEVTYPE=usb_device\0PRODUCT=5ac/12a8/1402\0BUSNUM=001\0DEVNUM=009\0...
//
// and udevd (group 2, root by its credentials) the same properties after its
// rules ran, behind a header:
//
//	0          8         12           16         20          24        40
//	+----------+---------+------------+----------+-----------+---------+
//	| libudev\0| feedcafe| header size| offset of| length of | filter  | properties
//	|          | (big e.)| (host e.)  | properties           | hashes  |
//	+----------+---------+------------+----------+-----------+---------+
//
// We subscribe to both groups, always. Where udevd runs (/run/udev/control is
// there) the kernel's message alone does not make a device ours: the owner and
// mode of its node are not settled. It then waits for udevd's message with its
// bus and address, or for the file /run/udev/data/c189:N that udevd keeps for
// each device it has handled, the latter for devices older than us and for
// network namespaces which udevd's messages do not reach. After three seconds it
// is reported all the same, with a warning. So udevd may start, stop and restart
// without any switching of sockets, a removal is known at once, and a udevd that
// hangs hides no phone. The price is that each event of any device wakes the
// process twice; messages about others are dropped without an allocation.
//
// Where netlink is closed (a sandbox without AF_NETLINK, some containers) sysfs
// is read every two seconds, and netlink is tried again once a minute. A network
// namespace that is open but hears nothing cannot be told from a quiet machine:
// Config.Poll is for those, and the rescan of once a minute for who forgets it.
//
// # Resume
//
// A timerfd on the wall clock, set for a day that never comes, with
// TFD_TIMER_CANCEL_ON_SET: the kernel cancels it, and wakes us, when the clock is
// set and when the system resumes. It costs nothing otherwise. The alternatives
// are a periodic comparison of two clocks, which wakes the process, and
// /sys/power/suspend_stats, which cannot be waited for.
//
// # Which devices
//
//	05ac:1290-12af            Mux with a usbmux interface, else NoMux
//	05ac:1901-1904, 8600      Mux
//	05ac:1280-1283            Recovery
//	05ac:1222, 1226, 1227     DFU
//	05ac, all others          Mux with a usbmux interface, else not reported;
//	                          12b1 and later, 1905 (which ordinary Macs have too)
//
// A usbmux interface has class 255, subclass 254, protocol 2, in any alternate
// setting of any configuration: the sysfs file "descriptors" has all of them as
// the device sent them, whatever is configured. If it is not well-formed the
// device is logged once and skipped for as long as it stays so. Config has lists that override
// the table.
//
// # Known limits
//
// The kernel answers the attribute "serial" only while nobody holds the device,
// so a phone that hangs while it is being configured delays the look at others by
// the kernel's timeout of five seconds. It is read once for each device.
//
// Sources: Linux lib/kobject_uevent.c, drivers/usb/core/{usb,sysfs,devio}.c,
// fs/timerfd.c and net/netlink/af_netlink.c for behaviour; messages and files of
// udevd 252 as seen on a running system; USB 2.0 chapter 9; the reference usbmuxd for its matching.
package hotplug
