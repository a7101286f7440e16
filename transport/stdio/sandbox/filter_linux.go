//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"sync"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/internal/seccomp"
)

// filter is a compiled list of system calls with its digest.
type filter struct {
	*seccomp.Filter

	digest string
}

// filters are those compiled before: a host has few profiles and many launches.
var filters struct {
	sync.Mutex
	known map[string]*filter
}

const maxFilters = 32

func filterFor(o seccomp.Options) (*filter, error) {
	key := fmt.Sprintf("%+v", o)
	filters.Lock()
	defer filters.Unlock()
	if f := filters.known[key]; f != nil {
		return f, nil
	}
	compiled, err := seccomp.Compile(o)
	if err != nil {
		return nil, err
	}
	if len(compiled.Code) == 0 {
		return nil, errors.New("seccomp: an empty filter")
	}
	f := &filter{Filter: compiled, digest: compiled.Digest()}
	if filters.known == nil || len(filters.known) == maxFilters {
		filters.known = map[string]*filter{}
	}
	filters.known[key] = f
	return f, nil
}
