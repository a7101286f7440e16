package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// A stateFile is freeze.json: what is frozen, as strict JSON.
type stateFile struct {
	Schema int           `json:"schema"`
	Frozen []stateFreeze `json:"frozen"`
}

type stateFreeze struct {
	What   string    `json:"what"`
	Name   string    `json:"name,omitempty"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// decodeState reads the contents of a state file.
func decodeState(raw []byte) ([]Freeze, error) {
	var file stateFile
	if err := strictjson.Decode(raw, maxRead, &file); err != nil {
		return nil, err
	}
	switch {
	case file.Schema != 1:
		return nil, fmt.Errorf("schema %d is unknown: it was written by another version", file.Schema)
	case file.Frozen == nil:
		return nil, errors.New("member frozen is missing")
	case len(file.Frozen) > maxFrozen+1:
		return nil, fmt.Errorf("more than %d entries", maxFrozen+1)
	}
	list := make([]Freeze, 0, len(file.Frozen))
	for i, one := range file.Frozen {
		t := Target{targetKind(one.What), one.Name}
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		list = append(list, Freeze{t, one.Since, one.Reason})
	}
	return list, nil
}

// write replaces the file as a whole: a reader sees the old one or the new one. bounded
// refuses a list that has become too long, or nobody could read it to thaw what is in it.
func (s *Switch) write(list []Freeze, bounded bool) (err error) {
	file := stateFile{Schema: 1, Frozen: make([]stateFreeze, 0, len(list))}
	for _, f := range list {
		file.Frozen = append(file.Frozen, stateFreeze{string(f.Target.kind), f.Target.name, f.Since, f.Reason})
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", s.path, err)
	}
	if bounded && len(raw) > maxState {
		return fmt.Errorf("%s would become larger than %d bytes: thaw something, or freeze everything", s.path, maxState)
	}
	return replace(s.path, append(raw, '\n'), true)
}

// replace writes a file beside the old one and gives it its name. If it is to last,
// it returns when the file is on disk.
func replace(path string, raw []byte, last bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("%w: give the user the right to create files in the directory", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(raw)
	if err == nil {
		err = like(f, path)
	}
	if err == nil && last {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if last {
		err = syncDir(filepath.Dir(path))
	}
	return err
}
