package attest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func linux() bool { return runtime.GOOS == "linux" }

// A testClock is set by tests.
type testClock struct{ at atomic.Pointer[time.Time] }

func (c *testClock) set(t time.Time) *testClock { c.at.Store(&t); return c }
func (c *testClock) now() time.Time             { return *c.at.Load() }

// copyOf lets a test change a manifest that others use.
func copyOf(m *manifest.Manifest) *manifest.Manifest {
	c := *m
	c.Tools = append([]manifest.Tool(nil), m.Tools...)
	c.Executables = append([]manifest.Executable(nil), m.Executables...)
	return &c
}

// A manifest that is not for this time, this server or this machine is refused before the
// server serves.
func TestManifestNotAdmitted(t *testing.T) {
	t.Parallel()
	good := pins(t, "", noteTool())
	policy := []byte("allow: read_note\n")
	for attack, test := range map[string]struct {
		edit func(*manifest.Manifest)
		opts []attest.Option
		at   time.Duration // after IssuedAt
		want string
	}{
		"neg 34: expired":                      {nil, nil, 91 * 24 * time.Hour, "has expired"},
		"neg 34: expired this second":          {nil, nil, 90 * 24 * time.Hour, "has expired"},
		"neg 35: not valid yet":                {nil, nil, -time.Second, "not valid yet"},
		"lives too long":                       {func(m *manifest.Manifest) { m.Expires = m.Expires.Add(time.Second) }, nil, 0, "lives too long"},
		"neg 37: another server":               {func(m *manifest.Manifest) { m.ServerName = "bank" }, nil, 0, `manifest is for "bank"`},
		"neg 37: another platform":             {func(m *manifest.Manifest) { m.Executables[0].Platform = "plan9/mips" }, nil, 0, "none for " + runtime.GOOS},
		"neg 37: another platform, with leave": {func(m *manifest.Manifest) { m.Executables[0].Platform = "plan9/mips" }, []attest.Option{attest.AllowUnpinnedExecutable()}, 0, "none for "},
		"no executable":                        {func(m *manifest.Manifest) { m.Executables = []manifest.Executable{} }, nil, 0, "pins no executable"},
		"an executable of another size":        {func(m *manifest.Manifest) { m.Executables[0].Size++ }, nil, 0, "the executable is another one"},
		"neg 32: below the minimum":            {nil, []attest.Option{attest.MinSequence(2)}, 0, "minimum is 2"},
		"policy pinned, none given":            {func(m *manifest.Manifest) { m.PolicySHA256 = otherDigest }, nil, 0, "pins a policy"},
		"another policy":                       {func(m *manifest.Manifest) { m.PolicySHA256 = otherDigest }, []attest.Option{attest.Policy(policy)}, 0, "policy is another one"},
		"policy given, none pinned":            {nil, []attest.Option{attest.Policy(policy)}, 0, "pins no policy"},
		"built by another Go":                  {goBuild(func(b *manifest.GoBuild) { b.GoVersion = "go1.1" }), nil, 0, `Go version is "` + runtime.Version()},
		"built with other settings":            {goBuild(func(b *manifest.GoBuild) { b.SettingsSHA256 = otherDigest }), nil, 0, "settings digest"},
		"built from a modified tree":           {goBuild(func(b *manifest.GoBuild) { b.Modified = !b.Modified }), nil, 0, "modified tree"},
		"built from another revision":          {goBuild(func(b *manifest.GoBuild) { b.Revision = "abc" }), nil, 0, "revision"},
		"another module":                       {goBuild(func(b *manifest.GoBuild) { b.Main = "evil.example/x" }), nil, 0, "main module"},
		"an operator's rule":                   {nil, []attest.Option{attest.Accept(func(*manifest.Manifest) error { return errors.New("not on Sundays") })}, 0, "not on Sundays"},
		"neg 38: a tool's version went down":   {func(m *manifest.Manifest) { m.Sequence, m.Tools[0].Version = 2, "1.1.0" }, []attest.Option{attest.Accept(notWeaker(good))}, 0, "version"},
	} {
		t.Run(attack, func(t *testing.T) {
			t.Parallel()
			m := copyOf(good)
			if test.edit != nil {
				test.edit(m)
			}
			a := attest.New(attest.Pinned(m), test.opts...)
			a.SetClock(new(testClock).set(m.IssuedAt.Add(test.at)).now)
			guard, err := mcpsec.New(a)
			if err == nil {
				l := newLab(t, "", a).add(noteTool())
				err = l.guard.Install(l.server)
				_ = guard.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	m := copyOf(good)
	m.Sequence = 2
	newLab(t, "", attest.New(attest.Pinned(m), attest.Accept(notWeaker(good)))).add(noteTool()).install()
}

func goBuild(edit func(*manifest.GoBuild)) func(*manifest.Manifest) {
	return func(m *manifest.Manifest) {
		b := *m.Executables[0].GoBuild
		edit(&b)
		m.Executables[0].GoBuild = &b
	}
}

// notWeaker is the rule that the documentation of Accept suggests.
func notWeaker(before *manifest.Manifest) func(*manifest.Manifest) error {
	return func(m *manifest.Manifest) error {
		for _, c := range manifest.Diff(before, m) {
			if c.Weaker {
				return errors.New(c.String())
			}
		}
		return nil
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	policy := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(policy, []byte("test"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := pins(t, "", noteTool())
	m.PolicySHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for _, o := range []attest.Option{attest.Policy([]byte("test")), attest.PolicyFile(policy)} {
		newLab(t, "", attest.New(attest.Pinned(m), o)).add(noteTool()).install()
	}
}

// The manifest expires while the server runs, and the alarm has told a day before.
func TestExpiresWhileServing(t *testing.T) {
	t.Parallel()
	m := pins(t, "", noteTool())
	clock := new(testClock).set(time.Now())
	a := attest.New(attest.Pinned(m), attest.Rehash(time.Millisecond))
	a.SetClock(clock.now)
	l := newLab(t, "", a).add(noteTool()).install()
	cs := l.connect()
	if err := call(t, cs, "read_note"); err != nil {
		t.Fatal(err)
	}
	clock.set(m.Expires.Add(-23 * time.Hour))
	if al := l.awaitAlarm("attest.expiring"); !strings.Contains(al.Detail, "sign a new one") {
		t.Errorf("%+v", al)
	}
	if err := call(t, cs, "read_note"); err != nil {
		t.Errorf("before the end: %v", err)
	}
	clock.set(m.Expires)
	denied(t, call(t, cs, "read_note"), "attest.expired")
	_, err := cs.ListTools(t.Context(), nil)
	denied(t, err, "attest.expired")
}

// Whoever sets the clock back gains nothing: the time that has passed is counted too.
func TestClockSetBackWhileServing(t *testing.T) {
	t.Parallel()
	m := pins(t, "", noteTool())
	m.NotBefore = m.NotBefore.Add(-89 * 24 * time.Hour)
	m.IssuedAt, m.Expires = m.NotBefore, m.Expires.Add(-89*24*time.Hour)
	clock := new(testClock).set(time.Now())
	a := attest.New(attest.Pinned(m))
	a.SetClock(clock.now)
	l := newLab(t, "", a).add(noteTool()).install()
	cs := l.connect()
	clock.set(time.Now().Add(25 * time.Hour).Round(0).Add(0))
	denied(t, call(t, cs, "read_note"), "attest.expired")
	clock.set(time.Now())
	if err := call(t, cs, "read_note"); err != nil {
		t.Errorf("a clock that was wrong and is right again: %v", err)
	}
}

// Rollback: what was accepted once is remembered across restarts.
func TestOlderManifestReplayed(t *testing.T) {
	t.Parallel()
	maker := newMaker(t)
	dir := t.TempDir()
	old := pins(t, "", noteTool())
	start := func(m *manifest.Manifest, opts ...attest.Option) error {
		opts = append(opts, attest.State(filepath.Join(dir, "state")))
		l := newLab(t, "", attest.New(attest.Manifest(maker.sign(m), attest.Key(maker.public)), opts...)).add(noteTool())
		return l.guard.Install(l.server)
	}
	next := copyOf(old)
	next.Sequence = 2
	if err := errors.Join(start(old), start(old), start(next)); err != nil {
		t.Fatal(err)
	}
	if err := start(old); err == nil || !strings.Contains(err.Error(), "rollback") {
		t.Errorf("neg 32: %v", err)
	}
	other := copyOf(next)
	other.Expires = other.Expires.Add(-time.Second)
	if err := start(other); err == nil || !strings.Contains(err.Error(), "two manifests") {
		t.Errorf("neg 33: %v", err)
	}
	foreign := copyOf(next)
	foreign.Sequence, foreign.ServerVersion = 9, "9"
	if err := start(foreign); err == nil {
		t.Error("a manifest of another version was accepted")
	}
	if err := start(next); err != nil {
		t.Errorf("a manifest that did not fit raised the sequence: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	if err := start(old); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("neg 36: %v", err)
	}
	if err := start(next, attest.MinSequence(2)); err != nil {
		t.Errorf("beginning anew with a minimum: %v", err)
	}
}

// A verifier is the caller's code: whatever it does, no is the answer.
type badVerifier func(ctx context.Context, bundle []byte) (*envelope.Verified, error)

func (v badVerifier) Verify(ctx context.Context, bundle []byte) (*envelope.Verified, error) {
	return v(ctx, bundle)
}
func (badVerifier) Describe() string { return "bad" }

func TestVerifierFails(t *testing.T) {
	t.Parallel()
	maker := newMaker(t)
	m := pins(t, "", noteTool())
	file, key := maker.sign(m), attest.Key(maker.public)
	day := 24 * time.Hour
	with := func(edit func(*envelope.Verified)) badVerifier {
		return func(ctx context.Context, bundle []byte) (*envelope.Verified, error) {
			v, err := key.Verify(ctx, bundle)
			if err == nil {
				edit(v)
			}
			return v, err
		}
	}
	for attack, v := range map[string]badVerifier{
		"neg 62: panic":                    func(context.Context, []byte) (*envelope.Verified, error) { panic("boom") },
		"neg 62: timeout":                  func(context.Context, []byte) (*envelope.Verified, error) { return nil, context.DeadlineExceeded },
		"neg 62: cancelled":                func(context.Context, []byte) (*envelope.Verified, error) { return nil, context.Canceled },
		"neither yes nor no":               func(context.Context, []byte) (*envelope.Verified, error) { return nil, nil },
		"yes to something else":            with(func(v *envelope.Verified) { v.Payload = []byte("{}") }),
		"a key that died before the issue": with(func(v *envelope.Verified) { v.NotAfter = m.IssuedAt.Add(-day) }),
		"a key that was not born yet":      with(func(v *envelope.Verified) { v.NotBefore = m.IssuedAt.Add(day) }),
		"issued after it was signed":       with(func(v *envelope.Verified) { v.Time = m.IssuedAt.Add(-day) }),
		"a clock behind the signature":     with(func(v *envelope.Verified) { v.Time = m.IssuedAt.Add(day) }),
	} {
		if _, err := mcpsec.New(attest.New(attest.Manifest(file, v))); err == nil {
			t.Errorf("%s: accepted", attack)
		}
	}
	good := with(func(v *envelope.Verified) {
		v.Time, v.NotBefore, v.NotAfter = m.IssuedAt, m.IssuedAt.Add(-day), m.IssuedAt.Add(day)
	})
	if _, err := mcpsec.New(attest.New(attest.Manifest(file, good))); err != nil {
		t.Error(err)
	}
}

// Two of two signers, on one statement.
func TestThreshold(t *testing.T) {
	t.Parallel()
	m := pins(t, "", noteTool())
	alice, bob := newMaker(t), newMaker(t)
	files := make([][]byte, 0, 2)
	for _, who := range []*maker{alice, bob} {
		text, err := os.ReadFile(who.sign(m))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, text)
	}
	both, err := envelope.Join(files...)
	if err != nil {
		t.Fatal(err)
	}
	trust := envelope.Threshold(2, attest.Key(alice.public), attest.Key(bob.public))
	file := filepath.Join(t.TempDir(), "manifest")
	for i, text := range [][]byte{both, files[0], append(append([]byte(nil), files[0]...), files[0]...)} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mcpsec.New(attest.New(attest.Manifest(file, trust))); (err == nil) != (i == 0) {
			t.Errorf("file %d: %v", i, err)
		}
	}
}

// What is not signed says so in every record.
func TestUnsignedIsLoud(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "manifest.json")
	if err := attest.WriteFile(file, pins(t, "", noteTool())); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, "", attest.New(attest.Unsigned(file))).add(noteTool()).install()
	if err := call(t, l.connect(), "read_note"); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.records[len(l.records)-1]
	if !strings.Contains(fmt.Sprint(last.Notes), "attest.unsigned") {
		t.Errorf("notes %v", last.Notes)
	}
	if l.sealed.Tools[0].Manifest != 1 || !strings.HasPrefix(l.sealed.Tools[0].Code, "sha256:") {
		t.Errorf("%+v", l.sealed.Tools[0])
	}
}
