package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const (
	// maxAnchor bounds one checkpoint in bytes: three lines and some signatures.
	maxAnchor = 64 << 10
	// maxAnchors bounds what the checkpoints of one file take in memory: about a
	// million.
	maxAnchors = 256 << 20
)

// ReadAnchors reads the checkpoints that were kept in a file, for
// [VerifyOptions].Anchors. The file is one signed checkpoint as it is; or JSON
// lines, of which those with a member "checkpoint" count: what audit.AnchorFile
// writes, a segment of a ledger, or a stream of shipped records. Lines without the
// member are passed over, and so is an unfinished last line. A file without any
// checkpoint is an error, and so is one of more than 256 MiB of them. Signatures are
// checked by [Verify].
func ReadAnchors(path string) ([]string, error) {
	f, _, err := regular.Open(path, math.MaxInt64, nil)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	anchors, err := readAnchors(f)
	if err != nil {
		return nil, fmt.Errorf("ledger: %s: %w", path, err)
	}
	return anchors, nil
}

func readAnchors(f io.Reader) ([]string, error) {
	r := bufio.NewReaderSize(f, 256<<10)
	start, err := r.Peek(1)
	if errors.Is(err, io.EOF) {
		return nil, errNoAnchor
	} else if err != nil {
		return nil, err
	}
	if start[0] != '{' {
		return wholeAnchor(r)
	}
	var (
		anchors []string
		left    = maxAnchors
	)
	for n := 1; ; n++ {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn) && !json.Valid(line):
			if len(anchors) == 0 {
				return nil, errNoAnchor
			}
			return anchors, nil
		case err != nil && !errors.Is(err, errTorn):
			return nil, err
		}
		text, ok, err := anchorOf(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if !ok || len(anchors) > 0 && anchors[len(anchors)-1] == text { // delivered twice
			continue
		}
		if left -= len(text) + 64; left < 0 {
			return nil, fmt.Errorf("line %d: more than %d MiB of checkpoints: split the file", n, maxAnchors>>20)
		}
		anchors = append(anchors, text)
	}
}

var errNoAnchor = errors.New("holds no checkpoint")

func wholeAnchor(r io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxAnchor+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnchor:
		return nil, fmt.Errorf("is no checkpoint: it has more than %d bytes, and is no JSON lines either", maxAnchor)
	}
	return []string{string(text)}, nil
}

// anchorOf returns the checkpoint that a line holds, if it holds one.
func anchorOf(line []byte) (text string, ok bool, err error) {
	if !bytes.Contains(line, []byte(`"checkpoint"`)) {
		return "", false, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return "", false, fmt.Errorf("is no JSON object: %w", err)
	}
	value := members["checkpoint"]
	if len(value) == 0 || value[0] != '"' {
		return "", false, nil
	}
	if err := json.Unmarshal(value, &text); err != nil {
		return "", false, err
	}
	if len(text) > maxAnchor {
		return "", false, fmt.Errorf("the checkpoint has more than %d bytes", maxAnchor)
	}
	return text, true, nil
}
