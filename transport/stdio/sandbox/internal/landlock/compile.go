//go:build linux

package landlock

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxRules bounds the rules of one set.
const maxRules = 4096

// Compile makes the ruleset for what may be read, written and executed, absolute paths of
// what exists, and the TCP ports that may be connected to and bound, refusing all others
// if net is set. With scope, signals and abstract sockets of the host's are out of reach.
// Rights that the ABI lacks are left out where the restriction is only weaker in what the
// package's documentation lists; what the policy cannot do without is an error.
//
// No path may be both written and executed, itself or by what lies above it.
func Compile(read, write, exec []string, connect, bind []uint16, net, scope bool, abi int) (Ruleset, error) {
	if abi < 1 {
		return Ruleset{}, errors.New("landlock: not available: boot a kernel since 5.13 with landlock in its lsm= list")
	}
	s := Ruleset{Files: filesOf(abi)}
	if net || len(connect) > 0 || len(bind) > 0 {
		if s.Net = netOf(abi); s.Net == 0 {
			return Ruleset{}, fmt.Errorf("landlock: rules for TCP ports need abi 4 (Linux 6.7), this kernel has %d", abi)
		}
		s.Connect, s.Bind = sorted(connect), sorted(bind)
	}
	if scope {
		if s.Scope = scopeOf(abi); s.Scope == 0 {
			return Ruleset{}, fmt.Errorf("landlock: keeping signals and abstract sockets inside needs abi 6 (Linux 6.12), this kernel has %d", abi)
		}
	}
	if len(read)+len(write)+len(exec) > maxRules {
		return Ruleset{}, fmt.Errorf("landlock: more than %d paths", maxRules)
	}
	for _, w := range write {
		for _, x := range exec {
			if Within(w, x) || Within(x, w) {
				return Ruleset{}, fmt.Errorf("landlock: %s would be written and %s executed, and one lies within the other: name narrower paths", w, x)
			}
		}
	}
	for _, kind := range []struct {
		access uint64
		paths  []string
	}{{Read, read}, {Write, write}, {Exec, exec}} {
		for _, path := range kind.paths {
			if err := s.Allow(path, kind.access); err != nil {
				return Ruleset{}, err
			}
		}
	}
	return s, nil
}

// Allow adds a rule for what is at a path, following symbolic links. It leaves out what
// cannot apply: rights of folders for a file, and those that the set does not handle,
// which are granted everywhere.
func (s *Ruleset) Allow(path string, access uint64) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return fmt.Errorf("landlock: %q is not an absolute path", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("landlock: %w: create it, or leave it out of the profile", err)
	}
	s.AllowKind(path, access, info.IsDir())
	return nil
}

// AllowKind is Allow for what is not there yet: a folder or not.
func (s *Ruleset) AllowKind(path string, access uint64, folder bool) {
	if !folder {
		access &= ofFiles
	}
	access &= s.Files
	at, found := slices.BinarySearchFunc(s.Rules, path, func(r Rule, path string) int { return cmp.Compare(r.Path, path) })
	if found {
		s.Rules[at].Access |= access
		return
	}
	s.Rules = slices.Insert(s.Rules, at, Rule{Path: path, Access: access})
}

// Within reports whether a clean absolute path is another one or lies below it.
func Within(path, folder string) bool {
	path, folder = filepath.Clean(path), filepath.Clean(folder)
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}

func sorted(ports []uint16) []uint16 {
	ports = slices.Clone(ports)
	slices.Sort(ports)
	return slices.Compact(ports)
}
