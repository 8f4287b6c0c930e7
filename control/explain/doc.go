// Package explain is the one catalogue of texts about trust: what is the case in
// words that need no knowledge of USB or pairing, and what to do now. The daemon
// shows them in its API, muxctl doctor and muxctl explain print them.
package explain
