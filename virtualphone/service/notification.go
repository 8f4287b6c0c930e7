package service

import "sync"

// Names of the notifications that a phone relays to a host it does not trust.
const (
	// RequestPair tells the host that the user has answered the Trust dialog.
	RequestPair = "com.apple.mobile.lockdown.request_pair"
	// RequestHostBUID asks the host to say again which host it is.
	RequestHostBUID = "com.apple.mobile.lockdown.request_host_buid"
)

// insecureNames are what com.apple.mobile.insecure_notification_proxy passes, in
// either direction.
var insecureNames = map[string]bool{RequestPair: true, RequestHostBUID: true}

const (
	// maxNames is how many names one connection may observe.
	maxNames = 256

	// maxName is the longest notification name in bytes.
	maxName = 1024

	// maxPending is how many notifications wait for one connection; a host that
	// does not read loses what comes after.
	maxPending = 64
)

// Notifications is the phone's notification centre: it passes names, without any
// content, to the hosts that observe them. It is safe for concurrent use.
type Notifications struct {
	mu        sync.Mutex // guards observers and the names of each
	observers map[*observer]struct{}
}

// observer is one connection to a notification proxy.
type observer struct {
	names   map[string]struct{} // guarded by Notifications.mu
	pending chan string         // sent to by Post, drained by the connection's relay
}

// NewNotifications returns a notification centre that nobody observes yet.
func NewNotifications() *Notifications {
	return &Notifications{observers: make(map[*observer]struct{})}
}

// Post passes name to every connection that observes it now. It never blocks: a
// connection that has maxPending names waiting loses this one.
func (n *Notifications) Post(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for o := range n.observers {
		if _, ok := o.names[name]; !ok {
			continue
		}
		select {
		case o.pending <- name:
		default:
		}
	}
}

// join adds a connection that observes nothing. The caller must leave.
func (n *Notifications) join() *observer {
	o := &observer{names: make(map[string]struct{}), pending: make(chan string, maxPending)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.observers[o] = struct{}{}
	return o
}

// leave removes o; nothing is sent to o.pending after it returns.
func (n *Notifications) leave(o *observer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.observers, o)
}

// observe adds name to what o is told. It reports false if o observes maxNames.
func (n *Notifications) observe(o *observer, name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := o.names[name]; !ok && len(o.names) == maxNames {
		return false
	}
	o.names[name] = struct{}{}
	return true
}
