package ledger

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
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
	// QueueBytes bounds what waits to be written. 0 means 8 MiB.
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

// A CorruptError says that a log is not what was written. Nothing in it has been
// changed by whoever returns it.
type CorruptError struct{ Fault }

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the log was changed: record %d (%s at byte %d): %s", e.Seq, e.Segment, e.Offset, e.Reason)
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
		w: writer{hash: newLeafHasher(), open: make(map[string]uint64), carry: &batch{}},
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
	l.at = position{l.w.first, l.w.off}
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
		return syncDir(filepath.Dir(dir))
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

// resume finds the end of the log and makes it fit to be continued.
func (l *Ledger) resume() error {
	err := l.recover()
	if bad, ok := errors.AsType[*CorruptError](err); ok && l.opts.Quarantine {
		if l.w.disk != nil {
			_ = l.w.disk.Close() // nothing was written
		}
		return l.quarantine(bad)
	}
	return err
}

func (l *Ledger) recover() error {
	names, err := segments(l.dir)
	if err != nil {
		return err
	}
	w := &l.w
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(l.dir, name))
		if err != nil {
			return err
		}
		first, _ := segmentFirst(name)
		w.sizes = append(w.sizes, segmentSize{first, info.Size()})
	}
	for len(names) > 0 {
		last := names[len(names)-1]
		begun, err := l.replay(last)
		if err != nil {
			return err
		}
		if begun {
			return nil
		}
		// The process ended while it began this segment: a header is safe before any
		// record comes. What is there is kept for whoever doubts that.
		if err := os.Rename(filepath.Join(l.dir, last), filepath.Join(l.dir, "torn-"+last)); err != nil {
			return err
		}
		l.tell(&report{Time: l.now(), Event: eventRecovery, Reason: "a segment without a header was moved aside", Detail: "torn-" + last})
		names, w.sizes = names[:len(names)-1], w.sizes[:len(w.sizes)-1]
	}
	return l.found(l.opts.Origin)
}

// found begins a log.
func (l *Ledger) found(origin string) error {
	if origin == "" {
		host, err := os.Hostname()
		if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == '+' || r > '~' }) {
			host = "host"
		}
		origin = "mcpsec/" + host + "/" + strings.ToLower(rand.Text()[:8])
	}
	l.origin = origin
	if err := l.takeKey(); err != nil {
		return err
	}
	return l.begin(l.now(), 0)
}

func (l *Ledger) takeKey() (err error) {
	if l.key = l.opts.Key; l.key == nil {
		if l.key, err = ownKey(l.dir, l.origin); err != nil {
			return fmt.Errorf("the key: %w", err)
		}
	}
	changed, err := l.key.publish(l.dir)
	if changed {
		l.tell(&report{
			Time: l.now(), Event: eventRecovery, Reason: "checkpoints are signed by another key from here on", Detail: l.key.String(),
		})
	}
	return err
}

// replay reads the last segment and takes up its end. It reports false for a file
// that does not even have a header.
func (l *Ledger) replay(name string) (begun bool, err error) {
	w := &l.w
	path := filepath.Join(l.dir, name)
	if w.disk, err = l.media.reopen(path); err != nil {
		return false, err
	}
	f, err := os.Open(path) //nolint:gosec // in the ledger's own folder
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	r := bufio.NewReaderSize(f, 1<<20)
	line, err := readLine(r)
	if errors.Is(err, errTorn) || errors.Is(err, io.EOF) {
		err = w.disk.Close()
		w.disk = nil
		return false, err
	} else if err != nil {
		return false, err
	}
	corrupt := func(why string) error {
		return &CorruptError{Fault{w.tree.size, name, w.off, why}}
	}
	h, err := parseHeader(bytes.TrimSuffix(line, newline))
	if err != nil {
		return false, corrupt(err.Error())
	}
	if first, _ := segmentFirst(name); first != h.First {
		return false, corrupt(fmt.Sprintf("the header says that the segment begins with record %d", h.First))
	}
	if w.tree, err = h.tree(); err != nil {
		return false, corrupt(err.Error())
	}
	if l.opts.Origin != "" && l.opts.Origin != h.Origin {
		return false, fmt.Errorf("the folder holds the log %q, not %q: choose another folder", h.Origin, l.opts.Origin)
	}
	l.origin = h.Origin
	if err := l.takeKey(); err != nil {
		return false, err
	}
	keys, err := ReadKeys(filepath.Join(l.dir, PublicKeyFile))
	if err != nil {
		return false, err
	}
	w.path, w.first, w.began, w.off = path, h.First, h.Time, int64(len(line))
	for _, c := range h.Open {
		w.open[c.ID] = c.Seq
	}
	for {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = l.follow(bytes.TrimSuffix(line, newline), keys)
		}
		if err == nil {
			w.off += int64(len(line))
			continue
		}
		rest, torn := tear(line, r, err)
		if !torn {
			return false, corrupt(err.Error())
		}
		if err := w.disk.Truncate(w.off); err != nil {
			return false, err
		}
		l.tell(&report{
			Time: l.now(), Event: eventRecovery, Count: uint64(rest.bytes), Reason: "an unfinished last line was cut off", //nolint:gosec // not negative
			Detail: fmt.Sprintf("%d bytes at byte %d of %s, SHA-256 %x", rest.bytes, w.off, name, rest.sum),
		})
		break
	}
	for id, seq := range w.open {
		l.unfinished = append(l.unfinished, Unfinished{id, seq})
	}
	slices.SortFunc(l.unfinished, func(a, b Unfinished) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // less than 2^63
	w.sizes[len(w.sizes)-1] = segmentSize{w.first, w.off}
	return true, nil
}

// follow takes one complete line into the tree, if it belongs there.
func (l *Ledger) follow(line []byte, keys []note.Verifier) error {
	w := &l.w
	if bytes.HasPrefix(line, checkpointStart) {
		text, err := parseCheckpoint(line)
		if err != nil {
			return err
		}
		if err := w.tree.confirm(text, l.origin, keys); err != nil {
			return err
		}
		w.signed = w.tree.size
		return nil
	}
	if err := w.tree.accept(line, w.hash); err != nil {
		return err
	}
	opens, closes := l.opts.Calls(line)
	if opens != "" {
		w.open[opens] = w.tree.size - 1
	}
	if closes != "" {
		delete(w.open, closes)
	}
	return nil
}

// accept adds a record line to the tree if it is the one that follows.
func (t *tree) accept(line []byte, hash *leafHasher) error {
	seq, prev, ok := parseRecord(line)
	switch {
	case !ok:
		return errors.New("the line is no record")
	case seq != t.size:
		return fmt.Errorf("the line is record %d, and record %d belongs here", seq, t.size)
	case !bytes.Equal(prev[:], t.last[:prevBytes]):
		return errLink
	}
	t.push(hash.leaf(line), nil)
	return nil
}

var errLink = errors.New("the record before it is not the one that it was written after")

// confirm compares the tree with a checkpoint of it.
func (t *tree) confirm(text, origin string, keys []note.Verifier) error {
	h, err := openHead(text, keys)
	switch {
	case err != nil:
		return err
	case h.origin != origin:
		return fmt.Errorf("the checkpoint is of another log, %q", h.origin)
	case h.size != t.size:
		return fmt.Errorf("the checkpoint covers %d records, and %d are here", h.size, t.size)
	case h.root != t.root():
		return errRoot
	}
	return nil
}

var errRoot = errors.New("the records are not those that were signed")

var newline = []byte{'\n'}

// errTorn says that a file ends in the middle of a line.
var errTorn = errors.New("the last line is unfinished")

// readLine returns the next line with its end.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if err == nil && line == nil {
			return part, nil
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, errTorn
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > 2*maxLine:
			return line, fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
	}
}

// A scrap is what is cut off.
type scrap struct {
	bytes int64
	sum   []byte
}

// tear reports whether the file from this line on is what a crash can leave: one
// unfinished line, or after a loss of power blocks that were never written, which
// hold zeros. Anything else has been put there.
func tear(line []byte, r *bufio.Reader, fault error) (scrap, bool) {
	sha := sha256.New()
	_, _ = sha.Write(line) // a hash.Hash never fails
	zeros := bytes.IndexByte(line, 0) >= 0
	size := int64(len(line))
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		_, _ = sha.Write(buf[:n]) // as above
		zeros = zeros || bytes.IndexByte(buf[:n], 0) >= 0
		size += int64(n)
		if err != nil {
			return scrap{size, sha.Sum(nil)}, errors.Is(err, io.EOF) && (zeros || errors.Is(fault, errTorn))
		}
	}
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

// quarantine moves what is there aside and begins a log of another name, since the
// old one's key has signed things about the old one.
func (l *Ledger) quarantine(bad *CorruptError) error {
	names, err := segments(l.dir)
	if err != nil {
		return err
	}
	now := l.now().UTC()
	folder := "quarantine-" + now.Format("20060102T150405.000000000Z")
	aside := filepath.Join(l.dir, folder)
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(l.dir, name), filepath.Join(aside, name)); err != nil {
			return err
		}
	}
	if err := errors.Join(l.media.syncDir(aside), l.media.syncDir(l.dir)); err != nil {
		return err
	}
	old := l.origin
	l.w = writer{hash: newLeafHasher(), open: make(map[string]uint64), carry: &batch{}}
	l.unfinished = nil
	l.tell(&report{
		Time: now, Event: eventRecovery, Reason: "the log before this one was changed and was moved aside", Detail: bad.Error(),
		Notes: map[string]string{"folder": folder, "origin": old},
	})
	if l.opts.Origin != "" {
		old = l.opts.Origin
	}
	if old == "" {
		return l.found("")
	}
	return l.found(old + "/" + strings.ToLower(rand.Text()[:8]))
}

// The reserve is space that is given up for the record that says there is none.
const (
	reserveFile  = "ledger.reserve"
	reserveBytes = 64 << 10
)

// saveReserve is no condition: without it only the last record is missing when
// there is no space.
func (l *Ledger) saveReserve() {
	path := filepath.Join(l.dir, reserveFile)
	if info, err := os.Lstat(path); err == nil && info.Size() == reserveBytes {
		return
	}
	_ = writeWhole(path, make([]byte, reserveBytes), 0o600)
}

// spendReserve reports whether there was a reserve.
func (l *Ledger) spendReserve() bool {
	return os.Remove(filepath.Join(l.dir, reserveFile)) == nil
}
