package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// open returns a file sink on a path, or the error of opening it.
func open(path string) (*file, error) {
	l := New(File(path))
	if err := l.Check(); err != nil {
		return nil, err
	}
	return l.sinks[0].(*file), nil
}

func TestFileKeepsWhatIsThere(t *testing.T) {
	path := logFile(t)
	for range 2 {
		if _, err := drive(t, ok, `{}`, closing(t, New(File(path)))); err != nil {
			t.Fatal(err)
		}
	}
	if all := parse(t, read(t, path)); len(all) != 4 {
		t.Errorf("%d records", len(all))
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// closing closes the logger when its first call is over.
func closing(t *testing.T, l *Logger) mcpsec.Control {
	t.Helper()
	return mcpsec.At(mcpsec.StageAudit, "closing", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		wrapped := l.Wrap(next)
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			defer l.Close()
			return wrapped(ctx, call)
		}
	}))
}

func TestUnfitFiles(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.Symlink(target, path("link")), os.Symlink(path("nowhere"), path("dangling")),
		os.Mkdir(path("directory"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path("link"):          "symbolic link",
		path("dangling"):      "symbolic link",
		path("directory"):     "not a regular file",
		os.DevNull:            "not a regular file",
		path("none/a.jsonl"):  "directory must exist",
		path("target/a.json"): "not a directory",
		"":                    "empty",
	} {
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "audit.File") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Lstat(path("nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the dangling link was followed")
	}
}

// Between the look at the path and the opening somebody puts another file there.
func TestFileExchangedWhileOpening(t *testing.T) {
	dir := t.TempDir()
	expected, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := adopt(f, expected); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Error(err)
	}
}

func TestExistingFileLosesTheRightsOfOthers(t *testing.T) {
	for before, after := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o640: 0o640, 0o644: 0o640, 0o666: 0o640, 0o777: 0o740} {
		path := logFile(t)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, before)); err != nil {
			t.Fatal(err)
		}
		f, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != after {
			t.Errorf("%v became %v, %v", before, info.Mode(), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTornTailDoesNotMergeWithTheNextRecord(t *testing.T) {
	for tail, want := range map[string]string{
		"":                            "",
		"{}\n":                        "{}\n",
		`{"time":"2026-07-28T10:00`:   `{"time":"2026-07-28T10:00` + "\n",
		"{}\n{\"event\":\"outcome\"}": "{}\n{\"event\":\"outcome\"}\n",
	} {
		path := logFile(t)
		if err := os.WriteFile(path, []byte(tail), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Record(t.Context(), &Event{}), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != want+string((&Event{}).AppendJSON(nil))+"\n" {
			t.Errorf("%q became %q", tail, got)
		}
	}
}

func TestConcurrentRecordsStayWhole(t *testing.T) {
	const writers, each = 2, 2000
	path := logFile(t)
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			e := &Event{Kind: Attempt, ID: strings.Repeat(string(rune('a'+w)), 100)}
			for e.Round = range each {
				if err := f.Record(t.Context(), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, r := range parse(t, read(t, path)) {
		if r.Round != next[r.ID] {
			t.Fatalf("record %d of %s instead of %d", r.Round, r.ID, next[r.ID])
		}
		next[r.ID]++
	}
	if len(next) != writers {
		t.Errorf("writers %v", next)
	}
	for id, n := range next {
		if n != each {
			t.Errorf("%d records of %s", n, id)
		}
	}
}

func TestRecordsAreWrittenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logFile(t)
		f, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 3; n++ {
			if err := f.Record(t.Context(), &Event{}); err != nil {
				t.Fatal(err)
			}
			if got := len(parse(t, read(t, path))); got != n-1 {
				t.Errorf("%d records written at once", got)
			}
			<-time.After(flushEvery + 1)
			synctest.Wait()
			if got := len(parse(t, read(t, path))); got != n {
				t.Errorf("%d records written in time, want %d", got, n)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := f.Record(t.Context(), &Event{}); !errors.Is(err, ErrClosed) {
			t.Errorf("record after Close: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}
