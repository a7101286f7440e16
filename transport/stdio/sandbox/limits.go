package sandbox

import (
	"cmp"
	"errors"
)

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	return Limits{
		Memory: cmp.Or(l.Memory, d.Memory), Processes: cmp.Or(l.Processes, d.Processes), Files: cmp.Or(l.Files, d.Files),
		FileSize: cmp.Or(l.FileSize, d.FileSize), CPU: l.CPU, Temp: cmp.Or(l.Temp, d.Temp),
	}
}

func (l Limits) check() error {
	if l.Memory < 0 || l.Processes < 0 || l.Files < 0 || l.FileSize < 0 || l.CPU < 0 || l.Temp < 0 {
		return errors.New("limits: none may be negative; zero means the default")
	}
	return nil
}
