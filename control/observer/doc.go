// Package observer remembers what somebody who looks after many phones wants to
// know and the daemon does not keep: how fast bytes flow, how they have flowed in
// the last hour, what has happened, and whether the daemon answers at all. An
// Observer reads the control API and is read by dashboards, exporters and terminals.
//
// Whoever shows it asks for all that is new since the version that he has
// (Observer.Since) and waits for Observer.Changed: there is no queue for a reader
// to fall behind in.
//
// # Goroutines and locks
//
// Observer.Run has one goroutine that hears the daemon's events and one that asks
// for its counters; it waits for both. Observer.mu guards all that is kept; nothing
// is waited for under it.
package observer
