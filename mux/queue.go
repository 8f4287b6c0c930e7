package mux

// queueID names one of the two queues that a Conn can be in.
type queueID uint8

const (
	queueUrgent queueID = iota
	queueReady
	queueCount
)

// queueLink is a Conn's place in one queue.
type queueLink struct {
	next   *Conn
	queued bool
}

// connQueue is a first-in first-out list of connections, linked through them:
// pushing one that is queued already does nothing, and nothing allocates.
type connQueue struct {
	head, tail *Conn
	n          int
}

func (q *connQueue) empty() bool { return q.head == nil }

func (q *connQueue) push(c *Conn, id queueID) {
	l := &c.links[id]
	if l.queued {
		return
	}
	*l = queueLink{queued: true}
	q.n++
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.links[id].next = c
	}
	q.tail = c
}

func (q *connQueue) pop(id queueID) *Conn {
	c := q.head
	if c == nil {
		return nil
	}
	q.n--
	q.head = c.links[id].next
	if q.head == nil {
		q.tail = nil
	}
	c.links[id] = queueLink{}
	return c
}

// only reports whether c is the one connection queued.
func (q *connQueue) only(c *Conn) bool { return q.n == 1 && q.head == c }
