package stdio

import (
	"context"
	"fmt"
)

// System is a program of the distribution, Command[0], of which no digest is known: the
// declared weaker level. It must be root's, and so must every folder and link on the way
// to it, and nobody else may write to any of them. The report says so. As it is as large
// as a distribution, it is meant as the Interpreter of a [Tree].
type System struct{}

var _ Artifact = System{}

func (s System) prepare(_ context.Context, c command) (*prepared, error) {
	if err := c.runsItself(); err != nil {
		return nil, err
	}
	return s.trust(c)
}

// trust looks at the way to the program.
func (System) trust(c command) (*prepared, error) {
	path, err := find(c[0])
	if err == nil {
		path, err = ownedByRoot(path)
	}
	if err != nil {
		return nil, fmt.Errorf("stdio: system program %s: %w", c.name(), err)
	}
	return &prepared{
		path: path, exec: path, how: "owned by root",
		weak:   "no digest is known: root can change it; give a stdio.Program with its SHA256",
		system: "it is the distribution's, and so are its libraries",
	}, nil
}
