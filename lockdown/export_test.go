package lockdown

// SharedKeys are the keys that all tests share.
func SharedKeys() *Keys { return hostKeys() }
