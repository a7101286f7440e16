package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
)

// logFault is where faults go without [OnFault].
func logFault(err error) { slog.Error("mcpsec audit", "fault", err.Error()) }

// An anchorFile takes checkpoints to a file. It opens it anew each time, so that the
// file may be rotated, or live on a mount that comes and goes.
type anchorFile struct{ path string }

func newAnchorFile(path string) (*anchorFile, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	a := &anchorFile{path}
	f, err := a.open()
	if err != nil {
		return nil, err
	}
	return a, f.Close()
}

func (a *anchorFile) open() (*os.File, error) {
	if info, err := os.Lstat(a.path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", a.path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(a.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
}

func (a *anchorFile) append(text string) error {
	line, err := json.Marshal(map[string]string{"checkpoint": text})
	if err != nil {
		return err
	}
	f, err := a.open()
	if err != nil {
		return err
	}
	err = mendTail(f)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	return errors.Join(err, f.Close())
}

// longestAnchor bounds a line of an anchor file, in bytes.
const longestAnchor = 8 << 10

// mendTail cuts off a last line that a crash or a full disk has left unfinished. It
// would spoil the next.
func mendTail(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	from := max(0, info.Size()-longestAnchor)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	switch {
	case end == len(tail):
		return nil
	case end == 0 && from > 0:
		return fmt.Errorf("%s does not look like a file of anchors", f.Name())
	}
	return f.Truncate(from + int64(end))
}
