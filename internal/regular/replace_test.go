package regular

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if text, err := ReadFile(path, 1<<20); err != nil || string(text) != want {
		t.Errorf("%s holds %.40q, %v", filepath.Base(path), text, err)
	}
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What stands at the file's own name is replaced, and never followed.
func TestReplaceFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, path := writeFile(t, filepath.Join(dir, "other"), "mine"), filepath.Join(dir, "key")
	if err := os.Symlink(other, path); err != nil {
		t.Skipf("reason: no links here: %v", err)
	}
	if err := Replace(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, other, "mine")
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	holds(t, path, "new")
	if names := namesIn(t, dir); len(names) != 2 {
		t.Errorf("left behind: %q", names)
	}
}

// Somebody has guessed the name of the draft: nothing is written through what they put
// there, nothing is published, and what they put there stays.
func TestDraftThatIsPlanted(t *testing.T) {
	t.Parallel()
	for what, plant := range map[string]func(other, draft string) error{
		"a link":                       os.Symlink,
		"a link to nothing":            func(other, draft string) error { return os.Symlink(other+"-none", draft) },
		"a hard link":                  os.Link,
		"a folder":                     func(_, draft string) error { return os.Mkdir(draft, 0o700) },
		"a file that others may write": func(_, draft string) error { return os.WriteFile(draft, nil, 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			other, path := writeFile(t, filepath.Join(dir, "other"), "mine"), writeFile(t, filepath.Join(dir, "key"), "old")
			random := rand.Text()
			draft := filepath.Join(dir, draftPrefix+random+draftSuffix)
			if err := plant(other, draft); err != nil {
				t.Skipf("reason: it cannot be made here: %v", err)
			}
			err := place(path, []byte("new"), 0o600, random, os.Rename)
			if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			holds(t, other, "mine")
			holds(t, path, "old")
			if names := namesIn(t, dir); len(names) != 3 {
				t.Errorf("there are %q", names)
			}
		})
	}
}

// Whoever looks at any moment sees one whole text, of one writer or of the other.
func TestTwoWritersAtOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: a file that is being read cannot be replaced on Windows")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	texts := []string{strings.Repeat("a", 200_000), strings.Repeat("b", 100_000)}
	writeFile(t, path, texts[0])
	var writers, reader sync.WaitGroup
	for _, text := range texts {
		writers.Go(func() {
			for range 40 {
				if err := Replace(path, []byte(text), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	reader.Go(func() {
		for {
			text, err := ReadFile(path, 1<<20)
			if got := string(text); err != nil || got != texts[0] && got != texts[1] {
				t.Errorf("%d bytes, %.9q..., %v", len(got), got, err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(done)
	reader.Wait()
	if names := namesIn(t, dir); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "authority")
	var group sync.WaitGroup
	made := make([]bool, 8)
	for i := range made {
		group.Go(func() {
			err := Create(path, []byte{byte('0' + i)}, 0o600)
			if made[i] = err == nil; !made[i] && !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	winner := ""
	for i, ok := range made {
		if ok {
			winner += string(byte('0' + i))
		}
	}
	if len(winner) != 1 {
		t.Errorf("created by %q", winner)
	}
	holds(t, path, winner)
	if names := namesIn(t, dir); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

// A fault that is told once has the same text each time.
func TestFaultNamesTheFile(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none", "key")
	inTheWay := filepath.Join(t.TempDir(), "key")
	if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{"no such folder": none, "a folder in the way": inTheWay} {
		one, two := Replace(path, nil, 0o600), Replace(path, nil, 0o600)
		if one == nil || two == nil || one.Error() != two.Error() || !strings.Contains(one.Error(), path+": ") {
			t.Errorf("%s: %v, then %v", what, one, two)
		}
	}
	if names := namesIn(t, filepath.Dir(inTheWay)); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

// A process that is killed leaves a draft behind, which may hold a secret.
func TestDraftsOfKilledProcessesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	put := func(name string, age time.Duration) {
		path := writeFile(t, filepath.Join(dir, name), "secret")
		if err := os.Chtimes(path, time.Time{}, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	old, fresh := draftPrefix+rand.Text()+draftSuffix, draftPrefix+rand.Text()+draftSuffix
	keep := []string{fresh, draftPrefix + "notes" + draftSuffix, "x" + old, old + "er", "tls.key.new"}
	put(old, 2*staleAfter)
	put(fresh, staleAfter-time.Minute)
	for _, name := range keep[1:] {
		put(name, 2*staleAfter)
	}
	folder := filepath.Join(dir, draftPrefix+rand.Text()+draftSuffix)
	err := os.Mkdir(folder, 0o700)
	if err = errors.Join(err, os.Chtimes(folder, time.Time{}, now.Add(-2*staleAfter))); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "key"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names := namesIn(t, dir); len(names) != len(keep)+2 {
		t.Errorf("there are %q", names)
	}
	if _, err := os.Lstat(filepath.Join(dir, old)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	sweepAt(dir, now.Add(2*time.Minute))
	if _, err := os.Lstat(filepath.Join(dir, fresh)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there after its hour: %v", err)
	}
}
