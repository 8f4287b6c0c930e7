// Package plist reads and writes Apple property lists, XML and binary. It is
// the only package that imports howett.net/plist.
//
// # Reading
//
// [Unmarshal] treats its input as hostile. A guard walks the whole input first,
// without allocating, and refuses what the decoder was seen to die of or to
// spend minutes and gigabytes on:
//
//   - anything over [MaxSize], or that starts neither like an XML property list
//     nor with "bplist00" (the decoder would try OpenStep text)
//   - XML: any element, attribute, entity, directive or nesting that property
//     lists do not have; more than [MaxDepth] levels or [MaxValues] elements,
//     comments and CDATA sections
//   - binary: trailer, offsets, lengths or references that lead out of the
//     object table; cycles; more than [MaxDepth] levels; shared objects that
//     would unfold to more than [MaxValues] values or MaxSize bytes
//   - numbers and dates that would come out as others (128-bit integers, years
//     outside 1 to 9999)
//
// Then the decoder makes plain Go values, and this package stores them in the
// caller's. A number that does not fit its field is a [TypeError]; the decoder
// alone would cut it (70000 into uint16 gives 4464).
//
// Read tolerantly: decimal or 0x hexadecimal integers with a minus sign (a plus
// sign or spaces around them are refused, the decoder does not know them), keys
// the struct does not have, NUL bytes and white space after the end, and of a
// key that comes twice the last value, as libplist takes it.
//
// # Writing
//
// [MarshalXML] writes byte for byte what libplist writes of the same values, so
// message sizes match those of the C usbmuxd. Text that XML cannot carry,
// such as a control character in a phone's name, comes out as U+FFFD: a client
// must be able to read the list of all devices even if one has an odd name.
//
// Sources: behaviour of libplist 2.2 (plistutil), Apple's PropertyList-1.0 DTD,
// the binary format's description in CoreFoundation's CFBinaryPList.c.
package plist
