package client

import "os"

const (
	// AddressEnv is the environment variable that names another socket.
	AddressEnv = "USBMUXD_SOCKET_ADDRESS"

	// DefaultAddress is where usbmuxd listens.
	DefaultAddress = "/var/run/usbmuxd"
)

// Address returns addr, or that of AddressEnv, or DefaultAddress.
func Address(addr string) string {
	if addr == "" {
		addr = os.Getenv(AddressEnv)
	}
	if addr == "" {
		addr = DefaultAddress
	}
	return addr
}
