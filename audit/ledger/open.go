package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// Options are the choices of a ledger. The zero value is a good one.
type Options struct {
	// Origin names the log in its checkpoints. It must be unique among the logs that
	// one place receives. Empty means "mcpsec/HOST/RANDOM" for a new folder, and
	// what the folder says for one in use; it cannot be changed.
	Origin string
	// Key signs checkpoints. Nil means an Ed25519 key that is made in the folder:
	// whoever can read it there can forge what no one outside has seen.
	Key *Key
	// SegmentBytes and SegmentAge end a segment. 0 means 64 MiB, and one hour.
	SegmentBytes int64
	SegmentAge   time.Duration
	// MaxBytes bounds all segments together; above it the oldest go, down to the one
	// in use, and a record says so. 0 means no bound.
	MaxBytes int64
	// Hold returns the number of the first record that must not go yet. Nil holds
	// nothing.
	Hold func() uint64
	// QueueBytes bounds what waits to be written, in memory. 0 means 8 MiB.
	QueueBytes int
	// Linger is how long a record that nobody waits for may wait for others, and so
	// what a crash of the process can lose. 0 means 10 ms.
	Linger time.Duration
	// DropBounded counts Bounded records that cannot be taken as lost, and lets
	// what they report happen.
	DropBounded bool
	// Calls tells which call a record opens or closes, to find those that a crash cut
	// off. Nil finds none.
	Calls func(record []byte) (opens, closes string)
	// OnCheckpoint receives each signed checkpoint once it is on the disk, to take it
	// to where this machine's owner cannot change it. It is called by the writing
	// goroutine and must not block.
	OnCheckpoint func(text string)
	// OnFault receives what an operator should know: a disk that fails, a file that
	// another program changed. It must not block.
	OnFault func(error)
	// Quarantine moves a log that was changed out of the way and begins a new one,
	// which says so. Without it Open refuses: the evidence is looked at first.
	Quarantine bool
}

const (
	defaultSegmentBytes = 64 << 20
	defaultSegmentAge   = time.Hour
	defaultQueueBytes   = 8 << 20
	defaultLinger       = 10 * time.Millisecond
)

func (o *Options) fill() error {
	if o.SegmentBytes < 0 || o.SegmentAge < 0 || o.MaxBytes < 0 || o.QueueBytes < 0 || o.Linger < 0 {
		return errors.New("sizes and times must not be negative")
	}
	if strings.ContainsFunc(o.Origin, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '+' }) || len(o.Origin) > 255 {
		return fmt.Errorf("the origin %q must be short and without spaces and plus signs", o.Origin)
	}
	def(&o.SegmentBytes, defaultSegmentBytes)
	def(&o.SegmentAge, defaultSegmentAge)
	def(&o.QueueBytes, defaultQueueBytes)
	def(&o.Linger, defaultLinger)
	if o.Hold == nil {
		o.Hold = func() uint64 { return 1<<63 - 1 }
	}
	if o.Calls == nil {
		o.Calls = func([]byte) (string, string) { return "", "" }
	}
	if o.OnCheckpoint == nil {
		o.OnCheckpoint = func(string) {}
	}
	if o.OnFault == nil {
		o.OnFault = func(error) {}
	}
	return nil
}

func def[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Open opens the log in a folder for writing, or begins one. It creates the folder,
// with mode 0700; the folder above must exist. It goes on where an earlier process
// stopped, however that ended: an unfinished last line is cut off, and a record says
// so. A log that does not fit together is refused with a [*CorruptError], unless
// Options.Quarantine is set.
func Open(dir string, o Options) (*Ledger, error) {
	return open(dir, o, realMedia, time.Now)
}

func open(dir string, o Options, m media, now func() time.Time) (_ *Ledger, err error) {
	fail := func(err error) error { return fmt.Errorf("ledger: %s: %w", dir, err) }
	if err := o.fill(); err != nil {
		return nil, fail(err)
	}
	if err := makeFolder(dir); err != nil {
		return nil, fail(err)
	}
	l := &Ledger{
		opts: o, dir: dir, media: m, now: now,
		lazy: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		quit: make(chan struct{}), stopped: make(chan struct{}),
		pending: &batch{}, spare: &batch{},
		w: newWriter(),
	}
	if l.locked, err = lock(dir); err != nil {
		return nil, fail(err)
	}
	if err := l.resume(); err != nil {
		if l.w.disk != nil {
			err = errors.Join(err, l.w.disk.Close())
		}
		return nil, errors.Join(fail(err), unlock(l.locked))
	}
	l.saveReserve()
	if len(l.w.toldEnd) > 0 {
		poke(l.lazy)
	}
	l.size, l.at = l.w.tree.size, position{l.w.first, l.w.off}
	l.written = 1
	go l.run()
	return l, nil
}

// makeFolder creates the folder, or takes from one that is there the rights of
// others.
func makeFolder(dir string) error {
	if dir == "" {
		return errors.New("the path of the folder is empty")
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return regular.SyncDir(filepath.Dir(dir))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("is not a folder: name one, or a path where nothing is")
	case info.Mode().Perm()&0o027 != 0:
		if err := os.Chmod(dir, info.Mode().Perm()&^0o027); err != nil {
			return fmt.Errorf("mode %v lets others in: %w", info.Mode().Perm(), err)
		}
	}
	return nil
}

// segments returns the names of a folder's segments in their order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries { // sorted by name
		if _, ok := segmentFirst(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
