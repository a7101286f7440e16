//go:build !unix && !windows

package state

import (
	"errors"
	"os"
)

func tryLock(*os.File) error {
	return errors.New("files cannot be locked on this system: pin the lowest sequence instead of a state file")
}

func release(*os.File) error { return nil }
