package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A position is a place in the log: a byte of a segment.
type position struct {
	first uint64 // of the segment
	off   int64
}

// An EntryKind says what a line of the log is.
type EntryKind int

// The kinds of line. Garbage is a line that no ledger writes.
const (
	Header EntryKind = iota + 1
	Record
	Checkpoint
	Garbage
)

// A Line is one line of the log.
type Line struct {
	Kind       EntryKind
	Seq        uint64 // of a record, or of the record that would come next
	Text       []byte // without line end; valid until the next call of Next
	Checkpoint string // the signed text, unverified
	Segment    string // name of the file
	Offset     int64  // of the line in it
}

// A Scanner reads a log in order, also while it is written. It believes what it
// reads: [Verify] does not. It is used by one goroutine.
type Scanner struct {
	dir   string
	from  uint64
	limit func() position // nil: up to the end of the files

	names []string // segments still to come
	file  *os.File
	name  string
	first uint64
	end   int64 // of what counts of the segment; -1 if it is not known yet
	off   int64 // of the next line
	buf   []byte
	r, w  int    // of buf: what is read and not yet returned
	next  uint64 // number of the next record
	head  *header
	bound bool // end is what the next segment says
}

// Scan reads the log in a folder from a record on. Headers and checkpoints between
// the records are returned as well. It needs no lock and changes nothing.
func Scan(dir string, from uint64) (*Scanner, error) {
	names, err := segments(dir)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("ledger: %s holds no log: its files are named %s", dir, segmentName(0))
	}
	start := 0
	for i, name := range names {
		if first, _ := segmentFirst(name); first <= from {
			start = i
		}
	}
	return &Scanner{dir: dir, from: from, names: names[start:], end: -1}, nil
}

// Scan reads the log from a record on, as far as it is safe.
func (l *Ledger) Scan(from uint64) (*Scanner, error) {
	s, err := Scan(l.dir, from)
	if err != nil {
		return nil, err
	}
	s.limit = func() position {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.at
	}
	return s, nil
}

// Close closes the file being read.
func (s *Scanner) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Next returns the next line, or io.EOF at the present end. When more has been
// written, it goes on.
func (s *Scanner) Next() (Line, error) {
	for {
		l, err := s.line()
		if err != nil || l.Kind != Record || l.Seq >= s.from {
			return l, err
		}
	}
}

func (s *Scanner) line() (Line, error) {
	for {
		if s.file == nil {
			if err := s.open(); err != nil {
				return Line{}, err
			}
		}
		stop, err := s.stop()
		if err != nil {
			return Line{}, err
		}
		unread := s.buf[s.r:s.w]
		if i := bytes.IndexByte(unread, '\n'); i >= 0 && (stop < 0 || s.off+int64(i) < stop) {
			return s.take(unread[:i], i+1), nil
		}
		if stop < 0 || s.off+int64(len(unread)) < stop {
			n, err := s.fill()
			if n > 0 {
				continue
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return Line{}, fmt.Errorf("ledger: %s at byte %d: %w", s.name, s.off, err)
			}
		}
		rest, ended, err := s.advance()
		switch {
		case err != nil:
			return Line{}, err
		case rest != nil:
			return s.take(rest, len(rest)), nil
		case ended:
			return Line{}, io.EOF
		}
	}
}

// take returns the next line, which with its end is n bytes long.
func (s *Scanner) take(text []byte, n int) Line {
	l := Line{Text: text, Segment: s.name, Offset: s.off}
	s.r += n
	s.off += int64(n)
	s.classify(&l)
	return l
}

// stop returns up to which byte of the segment to read; -1 for its end.
func (s *Scanner) stop() (int64, error) {
	if s.limit == nil {
		return s.end, nil
	}
	at := s.limit()
	switch {
	case at.first == s.first && (s.end < 0 || at.off < s.end):
		return at.off, nil
	case at.first > s.first && !s.bound:
		err := s.refresh() // the writer has left it: perhaps for a reason
		return s.end, err
	}
	return s.end, nil
}

// fill reads more of the file behind what is there.
func (s *Scanner) fill() (int, error) {
	if s.w-s.r > 2*maxLine {
		return 0, errLong
	}
	if s.r > 0 {
		s.r, s.w = 0, copy(s.buf, s.buf[s.r:s.w])
	}
	if s.w+readAhead > len(s.buf) {
		s.buf = append(s.buf[:s.w], make([]byte, s.w+readAhead)...)
	}
	n, err := s.file.ReadAt(s.buf[s.w:s.w+readAhead], s.off+int64(s.w))
	s.w += n
	return n, err
}

var errLong = fmt.Errorf("the line is longer than %d bytes", maxLine)

const readAhead = 256 << 10

// Rest returns how many bytes of an unfinished line follow the last line returned.
func (s *Scanner) Rest() int64 { return int64(s.w - s.r) }

// open opens the next segment.
func (s *Scanner) open() error {
	if len(s.names) == 0 {
		return io.EOF
	}
	name := s.names[0]
	f, err := openSegment(filepath.Join(s.dir, name))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	s.names = s.names[1:]
	s.file, s.name, s.off, s.r, s.w, s.end, s.bound = f, name, 0, 0, 0, -1, false
	s.first, _ = segmentFirst(name)
	s.ask()
	return nil
}

// openSegment opens a segment to read it. What is no regular file could keep the
// reader waiting for ever.
func openSegment(path string) (*os.File, error) {
	f, _, err := regular.Open(path, math.MaxInt64, nil)
	return f, err
}

// ask finds out from the header of the segment after this one, if there is one, how
// much of this one counts.
func (s *Scanner) ask() {
	if len(s.names) == 0 {
		return
	}
	s.bound = true
	h, err := readHeader(filepath.Join(s.dir, s.names[0]))
	if err == nil && h.Before > 0 { // whoever reads that segment will see the error
		s.end = h.Before
	}
}

// refresh looks for segments that were begun after this one.
func (s *Scanner) refresh() error {
	if len(s.names) > 0 {
		return nil
	}
	names, err := segments(s.dir)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	for len(names) > 0 && names[0] <= s.name {
		names = names[1:]
	}
	s.names = names
	s.ask()
	return nil
}

func readHeader(path string) (*header, error) {
	f, err := openSegment(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	line, err := readLine(bufio.NewReaderSize(f, 16<<10))
	if err != nil {
		return nil, err
	}
	return parseHeader(bytes.TrimSuffix(line, newline))
}

// advance goes on to the next segment once this one is read. It returns what is
// left of this one if that cannot be, or reports that there is nothing more for now.
func (s *Scanner) advance() (rest []byte, ended bool, err error) {
	if s.limit != nil && s.limit().first <= s.first {
		return nil, true, nil
	}
	if len(s.names) == 0 {
		// Look once more for what came to this segment before the next was begun.
		err := s.refresh()
		return nil, len(s.names) == 0, err
	}
	if s.end < 0 && s.r < s.w {
		return s.buf[s.r:s.w], false, nil
	}
	err = s.file.Close()
	s.file = nil
	return nil, false, err
}

// classify says what a line is, as far as its looks tell.
func (s *Scanner) classify(l *Line) {
	l.Kind, l.Seq = Garbage, s.next
	switch {
	case l.Offset == 0 && bytes.HasPrefix(l.Text, headerStart):
		if h, err := parseHeader(l.Text); err == nil {
			l.Kind, s.head, s.next, l.Seq = Header, h, h.First, h.First
		}
	case bytes.HasPrefix(l.Text, checkpointStart):
		if text, err := parseCheckpoint(l.Text); err == nil {
			l.Kind, l.Checkpoint = Checkpoint, text
			if h, err := parseHead(text); err == nil {
				l.Seq = h.size
			}
		}
	default:
		if seq, _, ok := parseRecord(l.Text); ok {
			l.Kind, l.Seq, s.next = Record, seq, seq+1
		}
	}
}

// Origin returns the name of the log, once a header has been read.
func (s *Scanner) Origin() string {
	if s.head == nil {
		return ""
	}
	return s.head.Origin
}
