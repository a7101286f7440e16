package lock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// Load reads a lock file. A file that does not exist is an error.
func Load(path string) (*File, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return approvedIn(path).read()
}

// Compare returns what differs between what is approved of the server of that name and
// what it shows, sorted by kind and name. seen comes from [Observe].
func (f *File) Compare(name string, seen *Server) []Change {
	return compare(name, f.Servers[name], seen)
}

// Pending returns what was refused and waits for review, sorted, compared with what is
// approved now.
func Pending(path string) ([]Change, error) {
	approved, err := approvedIn(path).read()
	if err != nil {
		return nil, err
	}
	waiting, err := pendingIn(path).read()
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(waiting.Servers)) {
		for _, c := range compare(name, approved.Servers[name], waiting.Servers[name]) {
			if c.New != nil {
				changes = append(changes, c)
			}
		}
	}
	return changes, nil
}

// Submit keeps changes for review.
func Submit(ctx context.Context, path string, changes ...Change) error {
	return keep(ctx, pendingIn(path), changes)
}

func keep(ctx context.Context, pending *store, changes []Change) error {
	return pending.update(ctx, func(f *File) (changed bool, err error) {
		for _, c := range changes {
			if c.New == nil {
				continue
			}
			server := f.Servers[c.Server]
			if server == nil {
				server = &Server{}
				f.Servers[c.Server] = server
			}
			if had := server.get(c.Kind, c.Name); had != nil && had.SHA256 == c.New.SHA256 {
				continue
			}
			d := *c.New
			d.How, d.Shown = refused, shownOf(server.get(c.Kind, c.Name))
			if err := server.put(c.Kind, c.Name, &d); err != nil {
				return false, err
			}
			changed = true
		}
		touched := make(map[string]bool)
		for _, c := range changes {
			if touched[c.Server] {
				continue
			}
			touched[c.Server] = true
			if f.Servers[c.Server].least() > maxWaiting {
				return false, fmt.Errorf("more than %d bytes of one server wait for review", maxWaiting)
			}
		}
		return changed, nil
	})
}

func shownOf(d *Definition) string {
	if d == nil {
		return ""
	}
	return d.Shown
}

// Shown notes that somebody was shown the changes, as they are here. Pending then tells
// by Definition.Shown whether what waits is what was looked at, or came later.
func Shown(ctx context.Context, path string, changes ...Change) error {
	err := pendingIn(path).update(ctx, func(f *File) (changed bool, err error) {
		for _, c := range changes {
			had := f.Servers[c.Server].get(c.Kind, c.Name)
			if had == nil || c.New == nil || had.Shown == c.New.SHA256 {
				continue
			}
			had.Shown = c.New.SHA256
			changed = true
		}
		return changed, nil
	})
	if err != nil {
		return fmt.Errorf("attest/lock: %w", err)
	}
	return nil
}

// maxWaiting bounds what one server may have waiting, in bytes of its definitions: the
// file is that of all servers.
const maxWaiting = 4 << 20

// Approve takes changes into the lock file, exactly as they are here, and removes them
// from what waits. A change without New takes the definition out. It fails, and changes
// nothing, if the file no longer holds what the change was shown against.
func Approve(ctx context.Context, path string, how How, changes ...Change) error {
	if how != OnFirstUse && how != Reviewed {
		return fmt.Errorf("attest/lock: %q is no way to approve", how)
	}
	err := approvedIn(path).update(ctx, func(f *File) (bool, error) {
		for _, c := range changes {
			if err := f.approve(c, how); err != nil {
				return false, err
			}
		}
		return len(changes) > 0, nil
	})
	if err != nil {
		return fmt.Errorf("attest/lock: %w", err)
	}
	return Reject(ctx, path, changes...)
}

func (f *File) approve(c Change, how How) error {
	if err := checkName(c.Server); err != nil {
		return err
	}
	server := f.Servers[c.Server]
	if digestOf(server.get(c.Kind, c.Name)) != digestOf(c.Old) {
		return fmt.Errorf("server %s: %s was approved differently in the meantime: look at it again", quote(c.Server), c)
	}
	if server == nil {
		if len(f.Servers) >= MaxServers {
			return fmt.Errorf("more than %d servers", MaxServers)
		}
		server = &Server{}
		f.Servers[c.Server] = server
	}
	if c.New == nil {
		server.remove(c.Kind, c.Name)
		return nil
	}
	d := *c.New
	d.How, d.At, d.Shown = how, time.Now().UTC().Truncate(time.Second), ""
	return server.put(c.Kind, c.Name, &d)
}

// Reject removes changes from what waits for review. What came after them stays.
func Reject(ctx context.Context, path string, changes ...Change) error {
	err := pendingIn(path).update(ctx, func(f *File) (changed bool, err error) {
		for _, c := range changes {
			server := f.Servers[c.Server]
			if had := server.get(c.Kind, c.Name); had == nil || c.New == nil || had.SHA256 != c.New.SHA256 {
				continue
			}
			server.remove(c.Kind, c.Name)
			changed = true
		}
		for name, server := range f.Servers {
			if server.empty() {
				delete(f.Servers, name)
			}
		}
		return changed, nil
	})
	if err != nil {
		return fmt.Errorf("attest/lock: %w", err)
	}
	return nil
}

func (s *Server) empty() bool {
	return s.Identity == nil && len(s.Tools)+len(s.Prompts)+len(s.Resources)+len(s.ResourceTemplates) == 0
}

// Seal notes, for a server that was observed as a whole, which program is launched and
// that it has no further definitions of any kind: even with [FirstUse] none is added.
func Seal(ctx context.Context, path, name string, artifact *Artifact) error {
	err := approvedIn(path).update(ctx, func(f *File) (bool, error) {
		server := f.Servers[name]
		if server == nil {
			return false, errors.New("no such server")
		}
		server.Artifact = artifact
		for _, k := range kinds {
			if list := server.list(k); *list == nil {
				*list = make(map[string]*Definition)
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("attest/lock: server %s: %w", quote(name), err)
	}
	return nil
}
