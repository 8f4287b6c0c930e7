// Package control is the daemon's second socket: HTTP and JSON over a Unix
// socket, by which operators see what is plugged in, hear of changes and act.
package control
