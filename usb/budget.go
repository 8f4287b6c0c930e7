package usb

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// buffers is how many transfers of which size a pipe keeps, in bytes.
type buffers struct {
	inCount, inSize   int
	outCount, outSize int
}

func (b buffers) total() int { return b.inCount*b.inSize + b.outCount*b.outSize }

// The sizes that were measured to matter. An IN transfer holds a whole segment
// of 32,764 bytes and the packet that ends it; larger ones, and more than three, do not
// help. An OUT transfer holds the largest mux packet that phones take.
const (
	inWhole  = 33280
	inSmall  = 16 << 10
	outWhole = 48 << 10
)

// Phones have the same for reading as long as there is enough, or those that came first
// would have more of a busy host.
var (
	plentiful = buffers{inCount: 3, inSize: inWhole, outCount: 16, outSize: outWhole} // 0.85 MiB
	normal    = buffers{inCount: 3, inSize: inWhole, outCount: 3, outSize: outWhole}  // 0.24 MiB
	scarce    = buffers{inCount: 2, inSize: inSmall, outCount: 1, outSize: outWhole}  // 80 KiB
)

// defaultMemory is the kernel's own default of usbfs_memory_mb, in bytes.
const defaultMemory = 16 << 20

// memoryParameter says how many MiB usbfs may use in all, 0 for no limit.
const memoryParameter = "/sys/module/usbcore/parameters/usbfs_memory_mb"

// Budget shares the memory that usbfs grants to all programs together out to the
// phones of this one: generous buffers up to an eighth of it, normal ones up to two
// thirds, scarce ones then. With the kernel's default that is 2, 40 and 108 phones;
// eight get by with 1 MiB.
// It only plans: should the kernel refuse memory nevertheless, the pipe gets by with
// less. The zero value reads the kernel's limit at its first use. Its methods may be
// called from several goroutines.
type Budget struct {
	// Limit in bytes instead of the kernel's; below 0 there is none.
	Limit int

	mu   sync.Mutex // guards used, and Limit once it is known
	used int
}

// take plans the buffers of one more pipe, which must be given back with put.
func (b *Budget) take() buffers {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Limit == 0 {
		b.Limit = readMemoryLimit(memoryParameter)
	}
	plan := scarce
	switch {
	case b.Limit < 0 || b.used+plentiful.total() <= b.Limit/8:
		plan = plentiful
	case b.used+normal.total() <= b.Limit/3*2:
		plan = normal
	}
	b.used += plan.total()
	return plan
}

func (b *Budget) put(plan buffers) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= plan.total()
}

// readMemoryLimit returns bytes, -1 for no limit.
func readMemoryLimit(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return defaultMemory
	}
	mib, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || mib < 0:
		return defaultMemory
	case mib == 0:
		return -1
	}
	return mib << 20
}
