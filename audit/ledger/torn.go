package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

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
// unfinished line, or after a loss of power a batch with blocks that were never
// written, which hold zeros. A checkpoint ends a batch: if anything comes after one,
// the zeros before it were safe once, and have been put there.
func tear(line []byte, r *bufio.Reader, fault error) (scrap, bool) {
	sha := sha256.New()
	_, _ = sha.Write(line) // a hash.Hash never fails
	size := int64(len(line))
	possible := errors.Is(fault, errTorn) || bytes.IndexByte(line, 0) >= 0
	complete := false // a checkpoint was
	for possible {
		line, err := readPart(r)
		_, _ = sha.Write(line) // as above
		size += int64(len(line))
		if len(line) > 0 && complete {
			return scrap{}, false
		}
		complete = complete || bytes.HasPrefix(line, checkpointStart) && bytes.HasSuffix(line, newline)
		if err != nil {
			return scrap{size, sha.Sum(nil)}, errors.Is(err, io.EOF)
		}
	}
	return scrap{}, false
}

// readPart returns the next line with its end, or as much of it as the buffer holds.
func readPart(r *bufio.Reader) ([]byte, error) {
	part, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return part, err
}
