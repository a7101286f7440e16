package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// format names the layout of the files, in every header.
const format = "mcpsec-audit/1"

// maxLine bounds a line in bytes. The audit package keeps its events far below.
const maxLine = 1 << 20

const (
	segmentPrefix = "audit-"
	segmentSuffix = ".jsonl"
)

// segmentName is the name of the segment that begins with the record of that
// number. Names sort as the segments do.
func segmentName(first uint64) string {
	return fmt.Sprintf("%s%020d%s", segmentPrefix, first, segmentSuffix)
}

// segmentFirst reads the number from a segment's name.
func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(filepath.Base(name), segmentPrefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, segmentSuffix); !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, err == nil
}

// A header is the first line of a segment: where in the log it begins. It is no
// leaf of the tree, so nothing in it is believed that the tree does not prove.
type header struct {
	Ledger string    `json:"ledger"`
	Origin string    `json:"origin"`
	First  uint64    `json:"first"`
	Time   time.Time `json:"time"`
	// Roots and Last are the tree of the records before First.
	Roots []string `json:"roots,omitempty"`
	Last  string   `json:"last,omitempty"`
	// Before is how many bytes of the segment before count. What a failed disk may
	// have kept beyond them stands here again.
	Before int64 `json:"before,omitempty"`
	// Open are the attempts that have no outcome yet, by call id.
	Open []openCall `json:"open,omitempty"`
}

// An openCall is an attempt without outcome, and the number of its record.
type openCall struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

func (h *header) line() []byte {
	b, err := json.Marshal(h)
	if err != nil { // strings, numbers and a time of this millennium
		panic("ledger: " + err.Error())
	}
	return append(b, '\n')
}

func headerOf(origin string, t *tree, now time.Time) *header {
	h := &header{Ledger: format, Origin: origin, First: t.size, Time: now.UTC()}
	for _, root := range t.roots[:t.used] {
		h.Roots = append(h.Roots, root.String())
	}
	if t.size > 0 {
		h.Last = t.last.String()
	}
	return h
}

var headerStart = []byte(`{"ledger":`)

func parseHeader(line []byte) (*header, error) {
	var h header
	if err := strictjson.Decode(line, maxLine, &h); err != nil {
		return nil, fmt.Errorf("the header cannot be read: %w", err)
	}
	if h.Ledger != format {
		return nil, fmt.Errorf("the header names the format %q, and this program reads %q", h.Ledger, format)
	}
	return &h, nil
}

// tree returns the tree that the header claims for the records before its first.
func (h *header) tree() (t tree, err error) {
	t.size = h.First
	for size := h.First; size > 0; size &= size - 1 {
		if t.used == len(h.Roots) {
			return t, errors.New("the header has too few roots")
		}
		if t.roots[t.used], err = parseHash(h.Roots[t.used]); err != nil {
			return t, fmt.Errorf("the header's roots: %w", err)
		}
		t.used++
	}
	if t.used != len(h.Roots) {
		return t, errors.New("the header has too many roots")
	}
	if h.First > 0 {
		t.last, err = parseHash(h.Last)
	}
	return t, err
}

// A record line is the producer's JSON object with two members in front: its
// number, and the first eight bytes of the hash of the leaf before it. The second
// tells which record was changed; the tree and its signature prove that one was.
const prevBytes = 8

var (
	seqStart  = []byte(`{"seq":`)
	prevStart = []byte(`,"prev":"`)
)

// appendRecord appends the line of a record without line end. The object is not
// empty.
func appendRecord(b []byte, seq uint64, prev *tlog.Hash, object []byte) []byte {
	b = strconv.AppendUint(append(b, seqStart...), seq, 10)
	b = hex.AppendEncode(append(b, prevStart...), prev[:prevBytes])
	b = append(b, '"', ',')
	return append(b, object[1:]...)
}

// parseRecord reads the two members in front of a record line.
func parseRecord(line []byte) (seq uint64, prev [prevBytes]byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, seqStart)
	if !ok {
		return 0, prev, false
	}
	i := 0
	for i < len(rest) && i < 19 && rest[i] >= '0' && rest[i] <= '9' {
		seq = seq*10 + uint64(rest[i]-'0')
		i++
	}
	if i == 0 || i > 1 && rest[0] == '0' {
		return 0, prev, false
	}
	rest, ok = bytes.CutPrefix(rest[i:], prevStart)
	if !ok || len(rest) < 2*prevBytes+3 || rest[2*prevBytes] != '"' || rest[2*prevBytes+1] != ',' || rest[len(rest)-1] != '}' {
		return 0, prev, false
	}
	if _, err := hex.Decode(prev[:], rest[:2*prevBytes]); err != nil {
		return 0, prev, false
	}
	return seq, prev, true
}

// A checkpoint line holds a signed tree head (C2SP tlog-checkpoint, signed-note).
type checkpointLine struct {
	Checkpoint string `json:"checkpoint"`
}

var checkpointStart = []byte(`{"checkpoint":`)

func appendCheckpoint(b []byte, text string) []byte {
	line, err := json.Marshal(checkpointLine{text})
	if err != nil { // a string
		panic("ledger: " + err.Error())
	}
	return append(append(b, line...), '\n')
}

func parseCheckpoint(line []byte) (string, error) {
	var c checkpointLine
	if err := strictjson.Decode(line, maxLine, &c); err != nil {
		return "", fmt.Errorf("the checkpoint cannot be read: %w", err)
	}
	return c.Checkpoint, nil
}

// A head is what a checkpoint says, once its signature has been verified.
type head struct {
	origin string
	size   uint64
	root   tlog.Hash
}

func (h head) text() string {
	return h.origin + "\n" + strconv.FormatUint(h.size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.root[:]) + "\n"
}

// parseHead reads the text of a checkpoint. Lines after the third are extensions
// and are passed over.
func parseHead(text string) (h head, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return h, errors.New("a checkpoint has at least three lines")
	}
	h.origin = lines[0]
	if h.size, err = strconv.ParseUint(lines[1], 10, 63); err != nil || strconv.FormatUint(h.size, 10) != lines[1] {
		return h, errors.New("the checkpoint's size is no number")
	}
	h.root, err = parseHash(lines[2])
	return h, err
}

// parseHash reads a hash in the one form that it is written in.
func parseHash(text string) (tlog.Hash, error) {
	h, err := tlog.ParseHash(text)
	if err == nil && h.String() != text {
		err = errors.New("the base64 of a hash ends in bits that mean nothing")
	}
	return h, err
}
