package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/mcpsec/mcpsec-go/creds"
)

const canary = "hunter2-canary-04cc"

func wantError(t *testing.T, what string, err error, part string) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("%s: a secret is in the error: %s", what, text)
	}
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: got %v, want an error with %q", what, err, part)
	}
}

// The mock of the library is one for the whole process, so this test is not parallel.
func TestMock(t *testing.T) {
	keyring.MockInit()
	p := Secret("my-mcp-server", "github")
	_, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	wantError(t, "none", err, "there is none")
	if err := keyring.Set("my-mcp-server", "github", canary); err != nil {
		t.Fatal(err)
	}
	m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	if err != nil || string(m.Secret.Reveal()) != canary || m.Record.KeyID != "github" {
		t.Errorf("%+v, %v", m, err)
	}
	if a, err := p.(creds.Prober).Probe(t.Context(), creds.Spec{}); err != nil || len(a.Notes) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if err := keyring.Set("my-mcp-server", "github", canary+"-2"); err != nil {
		t.Fatal(err)
	}
	if m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err != nil || string(m.Secret.Reveal()) != canary+"-2" {
		t.Errorf("rotated: %v", err)
	}
}

func answering(get func(string, string) (string, error)) *secret {
	s := Secret("s", "u").(*secret)
	s.get = get
	return s
}

func TestKeyringsThatFail(t *testing.T) {
	t.Parallel()
	for want, get := range map[string]func(string, string) (string, error){
		"is empty":              func(string, string) (string, error) { return "", nil },
		"is larger than":        func(string, string) (string, error) { return strings.Repeat("x", creds.MaxFile+1), nil },
		"there is none":         func(string, string) (string, error) { return "", keyring.ErrNotFound },
		"has no keyring":        func(string, string) (string, error) { return "", keyring.ErrUnsupportedPlatform },
		"no keyring is running": func(string, string) (string, error) { return "", &fs.PathError{Op: canary, Err: fs.ErrNotExist} },
		"*errors.errorString":   func(string, string) (string, error) { return canary, errors.New(canary) },
		"panicked":              func(string, string) (string, error) { panic(canary) },
	} {
		if want == "panicked" {
			want = "failed with a"
		}
		_, err := answering(get).Issue(t.Context(), creds.Spec{}, creds.Request{})
		wantError(t, want, err, want)
	}
}

// A locked keyring asks its owner, who may be away: nobody waits longer than his
// context, and there is never more than one question.
func TestLockedKeyring(t *testing.T) {
	t.Parallel()
	unlock, asked := make(chan struct{}), make(chan struct{}, 10)
	s := answering(func(string, string) (string, error) {
		asked <- struct{}{}
		<-unlock
		return canary, nil
	})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 5 {
		wg.Go(func() {
			if _, err := s.Issue(ctx, creds.Spec{}, creds.Request{}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	<-asked
	cancel()
	wg.Wait()
	if len(asked) != 0 {
		t.Error("more than one question")
	}
	close(unlock)
	if m, err := s.Issue(t.Context(), creds.Spec{}, creds.Request{}); err != nil || m.Secret.Empty() {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{{"", "u"}, {"s", ""}, {"s\n", "u"}, {"s", "\x00"}, {"s", strings.Repeat("u", 256)}} {
		wantError(t, names[0]+names[1], Secret(names[0], names[1]).(creds.Checker).Check(creds.Spec{}), "keyring: ")
		if _, err := Secret(names[0], names[1]).Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
			t.Errorf("%q: issued", names)
		}
	}
	if err := Secret("s", "u").(creds.Checker).Check(creds.Spec{}); err != nil {
		t.Error(err)
	}
}

// TestSessionKeyring asks the real keyring of a Linux desktop for what is not there.
func TestSessionKeyring(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		t.Skip("reason: no D-Bus session here: run under dbus-run-session with gnome-keyring-daemon (apt install dbus gnome-keyring)")
	}
	if _, err := exec.LookPath("gnome-keyring-daemon"); err != nil {
		t.Skip("reason: gnome-keyring-daemon not installed: apt install gnome-keyring")
	}
	_, err := Secret("mcpsec-test-"+canary[:7], "nobody").Issue(t.Context(), creds.Spec{}, creds.Request{})
	if err == nil {
		t.Error("a secret that nobody stored")
	}
}
