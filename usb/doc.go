// Package usb opens a plugged phone.
package usb
