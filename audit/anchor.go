package audit

import (
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
	return os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
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
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}
