package creds_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func issue(p creds.Provider) (string, error) {
	m, err := p.Issue(context.Background(), creds.Spec{}, creds.Request{})
	return string(m.Secret.Reveal()), err
}

func TestFileContent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"key": "key", "key\n": "key", "key\r\n": "key", "key\n\n": "key\n", "key\r": "key\r", "key\t": "key\t", "a\nb": "a\nb", "\x00\xff": "\x00\xff",
		strings.Repeat("k", creds.MaxFile): strings.Repeat("k", creds.MaxFile),
	} {
		if got, err := issue(creds.File(write(t, name, content, 0o400))); err != nil || got != want {
			t.Errorf("%.20q: %.20q, %v", content, got, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, content := range []string{"", "\n", "\r\n"} {
		if _, err := issue(creds.File(write(t, name, content, 0o600))); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := issue(creds.File(write(t, name, strings.Repeat("k", creds.MaxFile+1), 0o600))); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

// TestFileRotated: the next call gets the new secret; a call under way keeps its own.
func TestFileRotated(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "secret"), "old\n", 0o600)
	rotate := func(content string) {
		next := write(t, name+".new", content, 0o600)
		later := time.Now().Add(time.Second) // a file system's clock can be coarse
		if err := errors.Join(os.Chtimes(next, later, later), os.Rename(next, name)); err != nil {
			t.Error(err)
		}
	}
	cs, r := serve(t, creds.New(creds.ForTool("list", creds.Named("store", creds.File(name)))), map[string]body{
		"list": func(ctx context.Context, ask string) (string, error) {
			before, err := reveal(ctx, "store")
			if err != nil {
				return "", err
			}
			if ask != "" {
				rotate(ask)
			}
			after, err := reveal(ctx, "store")
			return before + "/" + after, err
		},
	})
	var versions []string
	for _, step := range []struct{ ask, want string }{{"", "old/old"}, {"new", "old/old"}, {"", "new/new"}} {
		text, err := call(t, cs, "list", step.ask)
		if err != nil || text != step.want {
			t.Errorf("got %q, %v; want %q", text, err, step.want)
		}
		notes, _ := r.last()
		if len(notes) != 1 || notes[0].Key != "creds.store" {
			t.Fatalf("noted %v", notes)
		}
		versions = append(versions, notes[0].Value)
		for _, secret := range []string{"old", "new"} {
			if strings.Contains(notes[0].Value, secret) {
				t.Errorf("noted %v", notes)
			}
		}
	}
	if versions[0] != versions[1] || versions[0] == versions[2] {
		t.Errorf("versions: %q", versions)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	_, err := call(t, cs, "list", "")
	denied(t, err, "creds.unavailable")
	if _, d := r.last(); !strings.Contains(d.Detail, name) || strings.Contains(d.Error(), name) {
		t.Errorf("refused with %v; for the operator: %s", d, d.Detail)
	}
}

// TestUnreadableFileFailsNew: found at start and not at the first call.
func TestUnreadableFileFailsNew(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "secret"), "hunter2", 0o600)
	if _, err := mcpsec.New(creds.New(creds.ForTool("t", creds.Named("n", creds.File(name))))); err != nil {
		t.Fatal(err)
	}
	_, err := mcpsec.New(creds.New(creds.ForTool("t", creds.Named("n", creds.File(filepath.Dir(name))))))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
