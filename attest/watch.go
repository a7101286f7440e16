package attest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/memfd"
)

// A watch is a file with bind watch: others open it by its name, so all that can be done is
// to look whether it changed, before every call, and to read it anew from time to time.
type watch struct {
	manifest.Artifact
	root *memfd.Root
	name *memfd.Name
	hold atomic.Pointer[memfd.Hold] // of the reviewed content; nil while that is in doubt
	wire tripwire
	wake func() // has it read anew, soon
	told string // what the patrol has logged of it last
}

// check looks at the file. When anything but its content may have changed, calls are
// refused until it was read anew.
func (w *watch) check() *finding {
	if hold := w.hold.Load(); hold != nil {
		if hold.Same() {
			return w.wire.tripped()
		}
		w.hold.CompareAndSwap(hold, nil)
	}
	if f := w.wire.tripped(); f != nil {
		return f
	}
	w.wake()
	return &finding{code: codeArtifactUnsettled, reason: "a file that this tool or server uses is being checked", detail: "artifact " + w.Name + ": " + w.Path}
}

// doubtful reports whether a call would be refused now.
func (w *watch) doubtful() bool {
	hold := w.hold.Load()
	return hold == nil || !hold.Same()
}

// errContent is about a file that is not what the manifest says.
var errContent = errors.New("another content")

// rehash reads the file anew. The reviewed content restores service; another is final. A
// file that cannot be read leaves calls refused.
func (w *watch) rehash(ctx context.Context) error {
	if w.wire.tripped() != nil {
		return nil
	}
	hold, err := measure(ctx, w.root, w.name, w.Artifact)
	switch named, errRoot := w.root.Named(); {
	case errRoot != nil:
		err = errors.Join(err, errRoot)
	case !named: // others now open another file
		err = fmt.Errorf("%w: the folder of the artifacts was replaced or moved", errContent)
	}
	switch {
	case errors.Is(err, errContent):
		w.wire.trip(codeArtifactChanged, "a file that this tool or server uses is not the reviewed one", fmt.Sprintf("artifact %s: %v", w.Name, err))
		return err
	case err != nil:
		w.hold.Store(nil)
		return err
	}
	w.hold.Store(hold)
	return nil
}

// attempts bounds how often a file that changes meanwhile is read.
const attempts = 5

// measure reads a file and returns a hold of it with the reviewed content.
func measure(ctx context.Context, root *memfd.Root, name *memfd.Name, a manifest.Artifact) (hold *memfd.Hold, err error) {
	for range attempts {
		if hold, err = measureOnce(ctx, root, name, a); err == nil || !errors.Is(err, memfd.ErrChanged) {
			return hold, err
		}
	}
	return nil, err
}

func measureOnce(ctx context.Context, root *memfd.Root, name *memfd.Name, a manifest.Artifact) (_ *memfd.Hold, err error) {
	f, err := root.Open(a.Path)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			_ = f.Close() // nothing was written
		}
	}()
	id, err := memfd.Identify(f)
	if err != nil {
		return nil, err
	}
	if !id.Settled() { // a change while it is read would not show
		select {
		case <-time.After(memfd.Settled):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := compare(ctx, f, a); err != nil {
		return nil, err
	}
	if after, err := memfd.Identify(f); err != nil || !after.Same(id) {
		return nil, errors.Join(memfd.ErrChanged, err)
	}
	kept = true
	hold, err := name.Hold(f, id)
	if err != nil {
		return nil, err
	}
	if !hold.Same() { // the name leads elsewhere by now
		return nil, memfd.ErrChanged
	}
	return hold, nil
}

// compare reads an open file and compares it with the manifest.
func compare(ctx context.Context, f *os.File, a manifest.Artifact) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != a.Size {
		return fmt.Errorf("%w: %s has %d bytes, the manifest says %d", errContent, a.Path, info.Size(), a.Size)
	}
	got, err := memfd.Sum(ctx, f, a.Size)
	if err != nil {
		return err
	}
	if got != a.SHA256 {
		return fmt.Errorf("%w: %s: expected %s%s, found %s%s", errContent, a.Path, digestPrefix, a.SHA256, digestPrefix, got)
	}
	return nil
}
