package ledger

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A CorruptError says that a log is not what was written. Nothing in it has been
// changed by whoever returns it.
type CorruptError struct{ Fault }

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the log was changed: record %d (%s at byte %d): %s", e.Seq, e.Segment, e.Offset, e.Reason)
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
		// record comes.
		if err := l.aside(filepath.Join(l.dir, last), "a segment without a header was moved aside"); err != nil {
			return err
		}
		names, w.sizes = names[:len(names)-1], w.sizes[:len(w.sizes)-1]
	}
	return l.found(l.opts.Origin)
}

// aside takes a file that stands where a segment belongs out of the way. It is kept
// for whoever doubts that it was worth nothing.
func (l *Ledger) aside(path, why string) error {
	name := "torn-" + strings.ToLower(rand.Text()[:8]) + "-" + filepath.Base(path)
	if err := os.Rename(path, filepath.Join(l.dir, name)); err != nil {
		return err
	}
	l.tell(&report{Time: l.now(), Event: eventRecovery, Reason: why, Detail: name})
	return nil
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
	l.w.signing = &signing{key: l.key, timeout: signTimeout}
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
	f, err := openSegment(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	r := bufio.NewReaderSize(f, 1<<20)
	corrupt := func(why string) error {
		return &CorruptError{Fault{w.tree.size, name, w.off, why}}
	}
	line, err := readLine(r)
	var h *header
	if err == nil {
		h, err = parseHeader(bytes.TrimSuffix(line, newline))
	}
	if err != nil {
		unfinished := errors.Is(err, io.EOF) || errors.Is(err, errTorn) || bytes.IndexByte(line, 0) >= 0
		if more, _ := r.Peek(1); len(more) > 0 || !unfinished {
			w.tree.size, _ = segmentFirst(name)
			return false, corrupt(err.Error())
		}
		err = w.disk.Close()
		w.disk = nil
		return false, err
	}
	w.path, w.first, w.off, w.before = path, h.First, int64(len(line)), h.Before
	keys, err := l.takeUp(h, corrupt)
	if err != nil {
		return false, err
	}
	if err := l.readOn(r, name, keys, corrupt); err != nil {
		return false, err
	}
	for id, seq := range w.open {
		l.unfinished = append(l.unfinished, Unfinished{id, seq})
	}
	slices.SortFunc(l.unfinished, func(a, b Unfinished) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // less than 2^63
	w.sizes[len(w.sizes)-1] = segmentSize{w.first, w.off}
	// A process that was killed may have written what it had not yet synced.
	return true, errors.Join(w.disk.Sync(), l.media.syncDir(l.dir))
}

// takeUp goes on with the log that a header tells of. It returns the keys that count.
func (l *Ledger) takeUp(h *header, corrupt func(why string) error) (keys []note.Verifier, err error) {
	w := &l.w
	if first, _ := segmentFirst(w.path); first != h.First {
		return nil, corrupt(fmt.Sprintf("the header says that the segment begins with record %d", h.First))
	}
	if w.tree, err = h.tree(); err != nil {
		return nil, corrupt(err.Error())
	}
	if o := l.opts.Origin; o != "" && o != h.Origin && !strings.HasPrefix(h.Origin, o+"/") { // of quarantine
		return nil, fmt.Errorf("the folder holds the log %q, not %q: choose another folder", h.Origin, l.opts.Origin)
	}
	l.origin = h.Origin
	if err := l.takeKey(); err != nil {
		return nil, err
	}
	if w.began = h.Time; w.began.After(l.now()) {
		w.began = l.now() // the clock was wrong then, or is now
	}
	for _, c := range h.Open {
		w.open[c.ID] = c.Seq
	}
	return ReadKeys(filepath.Join(l.dir, PublicKeyFile))
}

// readOn takes the lines after the header into the tree, and cuts off what a crash
// has left behind them.
func (l *Ledger) readOn(r *bufio.Reader, name string, keys []note.Verifier, corrupt func(why string) error) error {
	w := &l.w
	for {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return nil
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
			return corrupt(err.Error())
		}
		l.tell(&report{
			Time: l.now(), Event: eventRecovery, Count: uint64(rest.bytes), Reason: "an unfinished last line was cut off", //nolint:gosec // not negative
			Detail: fmt.Sprintf("%d bytes at byte %d of %s, SHA-256 %x", rest.bytes, w.off, name, rest.sum),
		})
		return w.disk.Truncate(w.off)
	}
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
	l.w = newWriter()
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
