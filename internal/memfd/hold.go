package memfd

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// Settled is how old a change must be before its time can be relied on: a file system may
// note times in steps as coarse as 10 ms, and a second change in one step does not show.
const Settled = 20 * time.Millisecond

// A Hold is a file whose content is known, held open together with the folders on the way
// to it, so that it takes less than a lookup by name to see that nothing changed: a file
// that is written to, renamed, removed or replaced has another change time, and so has a
// folder on the way that is renamed. Where folders cannot be held, and whenever something
// changed in one of them, the name is looked up. It is safe for concurrent use.
type Hold struct {
	name    *Name
	self    Identity
	file    *os.File
	folders []folder
	way     atomic.Pointer[[]Identity] // of the folders; nil if they are not settled
}

// A folder is one on the way, and its name.
type folder struct {
	file *os.File
	name *Name
}

var errUnheld = errors.New("folders cannot be held on this system")

// Hold returns a hold of the open file that has the name. The file is then the Hold's. Its
// descriptors are closed when the Hold is no longer reachable.
func (n *Name) Hold(f *os.File, self Identity) (*Hold, error) {
	h := &Hold{name: n, self: self, file: f}
	folders, err := n.folders()
	if err != nil && !errors.Is(err, errUnheld) {
		return nil, err
	}
	if err != nil {
		h.file = nil
		return h, f.Close()
	}
	h.folders = folders
	return h, nil
}

// Same reports whether nothing changed. It takes about a third of a microsecond for the
// file and for each folder below the root, and allocates nothing unless a folder changed.
func (h *Hold) Same() bool {
	if way := h.way.Load(); way != nil {
		if now, err := Identify(h.file); err != nil || !now.Same(h.self) {
			return false
		}
		for i, f := range h.folders {
			if now, err := Identify(f.file); err != nil || !now.Same((*way)[i]) {
				return h.lookup()
			}
		}
		return true
	}
	return h.lookup()
}

// lookup asks by name, and remembers the folders as they were before it asked.
func (h *Hold) lookup() bool {
	way, settled, ok := h.walk()
	if !ok {
		return false
	}
	if now, err := h.name.Look(); err != nil || !now.Same(h.self) {
		return false
	}
	if settled {
		h.way.Store(&way)
	} else {
		h.way.Store(nil)
	}
	return true
}

// walk makes sure that the names of the folders still lead to the folders that are held,
// and not, for instance, to a link to them.
func (h *Hold) walk() (way []Identity, settled, ok bool) {
	settled = h.file != nil
	way = make([]Identity, len(h.folders))
	for i, f := range h.folders {
		held, err := Identify(f.file)
		if err != nil {
			return nil, false, false
		}
		if named, err := f.name.Look(); err != nil || !named.is(held) {
			return nil, false, false
		}
		way[i] = held
		settled = settled && held.Settled()
	}
	return way, settled, true
}

// Settled reports whether the last change is long enough ago by the clock here.
func (i Identity) Settled() bool {
	age := time.Now().UnixNano() - i.Changed()
	return age >= int64(Settled)
}
