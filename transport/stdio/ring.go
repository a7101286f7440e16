package stdio

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
)

// Bounds of what is kept of a server's standard error.
const (
	ringBytes   = 64 << 10
	stderrBytes = 4096 // of a line
)

// A ring keeps the end of what was written to it.
type ring struct {
	mu   sync.Mutex
	text []byte // at most twice ringBytes
}

func (r *ring) write(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, p...)
	if len(r.text) > 2*ringBytes {
		r.text = append(r.text[:0], r.text[len(r.text)-ringBytes:]...)
	}
}

func (r *ring) last() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.text[max(0, len(r.text)-ringBytes):]...)
}

// fill reads to the end, and gives each line to tell, if that is set.
func (r *ring) fill(from io.Reader, tell func(string)) {
	in := bufio.NewReaderSize(from, stderrBytes)
	cut := false // the beginning of this line was told
	for {
		part, err := in.ReadSlice('\n')
		r.write(part)
		if tell != nil && !cut && len(part) > 0 {
			tell(strings.TrimRight(string(part), "\r\n"))
		}
		cut = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !cut {
			return
		}
	}
}
