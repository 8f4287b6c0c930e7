package control

import (
	"os"
	"sync"

	"gomuxd/access"
)

// quota limits how many of something exist at the same time. One user has at
// most half of them, so that nobody can shut out the others alone; root and the
// daemon's own user may have all.
type quota struct {
	limit int

	mu    sync.Mutex // guards the fields below
	total int
	users map[uint32]int
}

func newQuota(limit int) *quota {
	return &quota{limit: limit, users: make(map[uint32]int)}
}

// privileged reports whether p is root or runs as the daemon does.
func privileged(p *access.Guest) bool {
	return p.Origin == access.Local && (p.UID == 0 || p.UID == uint32(os.Geteuid()))
}

// take reports whether p may have one more; the caller gives it back.
func (q *quota) take(p *access.Guest) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.total >= q.limit || !privileged(p) && q.users[p.UID] >= (q.limit+1)/2 {
		return false
	}
	q.total++
	q.users[p.UID]++
	return true
}

func (q *quota) give(p *access.Guest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.users[p.UID]--; q.users[p.UID] == 0 {
		delete(q.users, p.UID)
	}
}
