package explain

// results are the Numbers of usbmuxd's Result messages. The requests about pair
// records use errno values instead, so 2 has two meanings.
// Source: reference usbmuxd src/usbmuxd-proto.h, src/client.c.
var results = []struct {
	number          int
	aliases         []string
	meaning, remedy string
}{
	{0, []string{"RESULT_OK"}, "The daemon did what the program asked.", "Nothing to do."},
	{1, []string{"RESULT_BADCOMMAND"}, "The daemon does not know the request, or it is not allowed at this point of the connection.",
		"Update the program or the daemon: they do not speak the same language. A program that wants more after Listen needs a new connection."},
	{2, []string{"RESULT_BADDEV", "ENOENT"}, "No device with that number is plugged in; or, asked for a pair record, this computer keeps none for the device.",
		`Plug the device in again and see "muxctl list". For a pair record, run "muxctl trust" and tap Trust on the device.`},
	{3, []string{"RESULT_CONNREFUSED", "ECONNREFUSED"}, "The device refused the connection: nothing listens on that port of it, it was unplugged, or it holds data back while locked.",
		`Unlock the device and try again. If only one program fails, start the service it wants on the device; else run "muxctl doctor".`},
	{4, nil, "Apple's daemon says so when the device has no such service; this daemon and the usual Linux one do not send it.",
		"Check that the service or port the program asks for exists on this version of the device's system."},
	{5, nil, "A number without a known meaning; neither this daemon nor the usual Linux one sends it.",
		"See which program answers on the usbmuxd socket: \"muxctl doctor\" names it."},
	{6, []string{"RESULT_BADVERSION"}, "The program spoke a version of the usbmuxd protocol that the daemon does not know.",
		"Update the program. Many fall back to the older version by themselves, and then nothing is wrong."},
	{13, []string{"EACCES"}, "The daemon may not read or change the pair record: its folder does not belong to it.",
		`Run "muxctl doctor": it shows owner and mode of the folder. Give it back to the user the daemon runs as.`},
	{22, []string{"EINVAL"}, "A request about a pair record lacked its name or its data, or the data is no pair record.",
		"Update the program that sent it. If it sends a record from a file, that file is damaged."},
	{28, []string{"ENOSPC"}, "The disk is full, so the daemon could not save the pair record.",
		`Free some space, then pair again with "muxctl trust".`},
}
