package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// access is what may be done with a part of the file system.
type access int

const (
	mayRead access = iota
	mayExec
	mayWrite
)

func (a access) String() string {
	return [...]string{"read", "exec", "write"}[a]
}

// An entry is a file or folder of the host's that appears inside.
type entry struct {
	source, target string // without symbolic links
	access         access
	dir            bool
}

// A link is a symbolic link that was met on the way to an entry.
type link struct{ at, to string }

// A view is what a profile lets a process see of the host's file system, parents first.
type view struct {
	entries []entry
	links   []link
	found   map[string]string // what the paths of the command led to; nil if nobody asks
}

const maxEntries = 4096

// Check refuses a command whose paths contradict themselves or name what no sandbox may
// show, for backends that build the view by other means. It returns what was checked: by
// each path of the profile, and each source of a mount, the path without symbolic links
// that it led to. A backend shows that one, and follows no link on the way to it: to
// resolve the path again may lead elsewhere by then.
func Check(c *Command) (found map[string]string, err error) {
	v := &view{found: make(map[string]string)}
	if err := v.fill(c); err != nil {
		return nil, err
	}
	return v.found, nil
}

// newView resolves the paths of a command.
func newView(c *Command) (*view, error) {
	v := &view{}
	if err := v.fill(c); err != nil {
		return nil, err
	}
	return v, nil
}

// fill adds what a command names. Paths that do not exist are an error, except those of the
// system; what is written must not be executed.
func (v *view) fill(c *Command) error {
	for _, part := range []struct {
		paths  []string
		access access
	}{{c.Profile.Read, mayRead}, {c.Profile.Exec, mayExec}, {c.Profile.Write, mayWrite}} {
		for _, path := range part.paths {
			if err := v.add(path, part.access); err != nil {
				return fmt.Errorf("profile: %s %s: %w", part.access, path, err)
			}
		}
	}
	if c.Profile.System {
		if err := v.system(); err != nil {
			return err
		}
	}
	for _, m := range c.Mounts {
		if err := v.mount(m); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
		}
	}
	if err := v.unforged(); err != nil {
		return err
	}
	return v.settle()
}

// lead notes what a path of the command led to. One that is named twice leads to one place.
func (v *view) lead(path, to string) error {
	if v.found == nil {
		return nil
	}
	if before, twice := v.found[path]; twice && before != to {
		return fmt.Errorf("it led to %s, and then to %s", before, to)
	}
	v.found[path] = to
	return nil
}

// system adds what [SystemPaths] names, as it was when first asked for.
func (v *view) system() error {
	s, err := systemView()
	if err != nil {
		return err
	}
	v.entries = append(v.entries, s.entries...)
	v.links = append(v.links, s.links...)
	return nil
}

var systemView = sync.OnceValues(func() (*view, error) {
	s := &view{}
	for _, path := range SystemPaths() {
		a := mayExec
		if within(path, "/etc") {
			a = mayRead
		}
		if err := s.add(path, a); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("system path %s: %w", path, err)
		}
	}
	return s, nil
})

func (v *view) mount(m Mount) error {
	if !filepath.IsAbs(m.Source) || !filepath.IsAbs(m.Target) || filepath.Clean(m.Target) != m.Target {
		return errors.New("both must be absolute and clean")
	}
	if err := reserved(m.Target); err != nil {
		return err
	}
	source, links, err := resolve(filepath.Clean(m.Source))
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := v.forgeable(l); err != nil {
			return err
		}
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	a := mayRead
	if m.Exec {
		a = mayExec
	}
	if err := v.lead(m.Source, source); err != nil {
		return err
	}
	v.entries = append(v.entries, entry{source: source, target: m.Target, access: a, dir: info.IsDir()})
	return nil
}

func (v *view) add(path string, a access) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return errors.New("not an absolute path")
	}
	found, links, err := resolve(filepath.Clean(path))
	if err != nil {
		return err
	}
	if err := reserved(found); err != nil {
		return err
	}
	info, err := os.Stat(found)
	if err != nil {
		return err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return errors.New("neither a file nor a folder")
	}
	if err := v.lead(path, found); err != nil {
		return err
	}
	v.entries = append(v.entries, entry{source: found, target: found, access: a, dir: info.IsDir()})
	v.links = append(v.links, links...)
	return nil
}

// reserved refuses places that the sandbox fills itself.
func reserved(path string) error {
	if path == "/" {
		return errors.New("the whole file system: name the folders")
	}
	for _, own := range []string{"/proc", "/dev"} {
		if within(path, own) {
			return errors.New(own + " inside is the sandbox's own")
		}
	}
	return nil
}

// resolve follows symbolic links and says which ones.
func resolve(path string) (found string, links []link, err error) {
	rest := strings.Split(strings.TrimPrefix(path, "/"), "/")
	found = "/"
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			found = filepath.Dir(found)
			continue
		}
		at := filepath.Join(found, name)
		info, err := os.Lstat(at)
		if err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			found = at
			continue
		}
		if len(links) == 40 {
			return "", nil, errors.New("too many symbolic links")
		}
		to, err := os.Readlink(at)
		if err != nil {
			return "", nil, err
		}
		links = append(links, link{at: at, to: to})
		if filepath.IsAbs(to) {
			found = "/"
		}
		rest = append(strings.Split(strings.TrimPrefix(to, "/"), "/"), rest...)
	}
	return found, links, nil
}

// unforged refuses links in folders that are written: whoever writes there would choose,
// for the next start, what else the profile means.
func (v *view) unforged() error {
	for _, l := range v.links {
		if err := v.forgeable(l); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
	}
	return nil
}

func (v *view) forgeable(l link) error {
	for _, e := range v.entries {
		if e.access == mayWrite && within(l.at, e.target) {
			return fmt.Errorf("%s is a link to %s in %s, which is written: name where it leads", l.at, l.to, e.target)
		}
	}
	return nil
}

// plain refuses what only mounts can enforce.
func (v *view) plain() error {
	for i, e := range v.entries {
		over := cover(v.entries[:i], e.target)
		if over != nil && over.access == mayWrite && e.access == mayRead {
			return fmt.Errorf("profile: %s is to be read only within %s, which is written: without a mount namespace nothing enforces that", e.target, over.target)
		}
	}
	return nil
}

// settle orders the view, drops what is there twice, and refuses what contradicts itself.
func (v *view) settle() error {
	if len(v.entries) > maxEntries {
		return fmt.Errorf("profile: %d paths: at most %d", len(v.entries), maxEntries)
	}
	slices.SortStableFunc(v.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(b.access, a.access))
	})
	var kept []entry
	for _, e := range v.entries {
		over := cover(kept, e.target)
		if over == nil {
			kept = append(kept, e)
			continue
		}
		if (over.access == mayWrite && e.access == mayExec) || (over.access == mayExec && e.access == mayWrite) {
			return fmt.Errorf("profile: %s may be %s and %s %s: what is written must not be executed: name narrower paths",
				over.target, over.access, e.target, e.access)
		}
		inside := filepath.Join(over.source, strings.TrimPrefix(e.target, over.target))
		if inside == e.source && (over.access == e.access || (over.access == mayExec && e.access == mayRead)) {
			continue // the one above shows it already
		}
		if e.target == over.target {
			if over.source != e.source {
				return fmt.Errorf("profile: both %s and %s at %s", over.source, e.source, e.target)
			}
			continue // the stronger access came first
		}
		if info, err := os.Stat(inside); err != nil || info.IsDir() != e.dir {
			return fmt.Errorf("profile: nothing at %s to put %s on: create it, or choose another place", inside, e.source)
		}
		kept = append(kept, e)
	}
	v.entries = kept
	slices.SortFunc(v.links, func(a, b link) int { return cmp.Compare(a.at, b.at) })
	v.links = slices.Compact(v.links)
	v.links = slices.DeleteFunc(v.links, func(l link) bool { return cover(v.entries, l.at) != nil })
	return nil
}

// cover is the deepest entry that shows a path, or nil.
func cover(entries []entry, path string) *entry {
	for i := range slices.Backward(entries) {
		if within(path, entries[i].target) {
			return &entries[i]
		}
	}
	return nil
}

// executable reports whether the view lets a path be executed.
func (v *view) executable(path string) bool {
	e := cover(v.entries, path)
	return e != nil && e.access == mayExec
}

// within reports whether a clean path is a folder or lies below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
