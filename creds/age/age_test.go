package age

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/mcpsec/mcpsec-go/creds"
)

const canary = "hunter2-canary-a6b0"

func value(text string) creds.Value { return creds.NewValue([]byte(text)) }

// identity returns a provider of a new private key, and its public key.
func identity(t *testing.T) (creds.Provider, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return creds.Static([]byte("# created: now\n" + id.String() + "\n")), id.Recipient().String()
}

// cheap is a passphrase that costs less than a real one.
func cheap(text string) Recipient {
	r := WithPassphrase(value(text))
	r.to().(*age.ScryptRecipient).SetWorkFactor(10)
	return r
}

func wantError(t *testing.T, what string, err error, part string) {
	t.Helper()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
		t.Errorf("%s: a secret is in the error: %s", what, text)
	}
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: got %v, want an error with %q", what, err, part)
	}
}

func issue(t *testing.T, p creds.Provider) (string, error) {
	t.Helper()
	m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{})
	return string(m.Secret.Reveal()), err
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.age")
	id, public := identity(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]creds.Value{"notes": value(canary + `<"\`), "mail": value(canary + "-mail")}
	for name, test := range map[string]struct {
		to   Recipient
		conf Config
	}{
		"public key":   {PublicKey(public), Config{Path: path, Identity: id}},
		"post-quantum": {PublicKey(hybrid.Recipient().String()), Config{Path: path, Identity: creds.Static([]byte(hybrid.String()))}},
		"passphrase":   {cheap("correct horse"), Config{Path: path, Passphrase: creds.Static([]byte("correct horse"))}},
	} {
		if err := Write(path, secrets, test.to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if raw, err := os.ReadFile(path); err != nil || bytes.Contains(raw, []byte("hunter2")) {
			t.Errorf("%s: it is in the clear: %v", name, err)
		}
		store := Open(test.conf)
		for _, each := range []string{"notes", "mail"} {
			p := store.Secret(each)
			if err := p.(creds.Checker).Check(creds.NewSpec(each, nil)); err != nil {
				t.Error(err)
			}
			if got, err := issue(t, p); err != nil || got != string(secrets[each].Reveal()) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if a, err := store.Secret("mail").(creds.Prober).Probe(t.Context(), creds.Spec{}); err != nil || !strings.Contains(a.Identity, path) {
			t.Errorf("%+v, %v", a, err)
		}
		if got, err := issue(t, store.Whole()); err != nil || !strings.HasPrefix(got, `{"mail":"`) || strings.HasSuffix(got, "\n") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// An update is Read, a change, and Write; a provider sees it with its next plan.
func TestUpdate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.age")
	id, public := identity(t)
	if err := Write(path, map[string]creds.Value{"a": value("1"), "b": value("2")}, PublicKey(public)); err != nil {
		t.Fatal(err)
	}
	store := Open(Config{Path: path, Identity: id})
	p := store.Secret("a").(creds.Planner)
	before, err := p.Plan(creds.Spec{}, creds.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if other, _ := store.Secret("b").(creds.Planner).Plan(creds.Spec{}, creds.Request{}); other == before {
		t.Error("two secrets have the same plan")
	}
	all, err := store.Read(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	all["a"] = value("rotated")
	if err := Write(path, all, PublicKey(public)); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second) // a file system's clock can be coarse
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	after, err := p.Plan(creds.Spec{}, creds.Request{})
	if err != nil || after == before {
		t.Errorf("the plan has not changed: %v", err)
	}
	for name, want := range map[string]string{"a": "rotated", "b": "2"} {
		if got, err := issue(t, store.Secret(name)); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, public := identity(t)
	other, _ := identity(t)
	r, err := age.ParseX25519Recipient(public)
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(content string, to ...age.Recipient) []byte {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, to...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	good := encrypt(`{"n":"`+canary+`"}`, r)
	long := encrypt(`{"n":"`+strings.Repeat("x", 100<<10)+`"}`, r)
	hard, err := age.NewScryptRecipient("p")
	if err != nil {
		t.Fatal(err)
	}
	hard.SetWorkFactor(8)
	costly := bytes.Replace(encrypt(`{}`, hard), []byte(" 8\n"), []byte(" 30\n"), 1)
	tests := []struct {
		fault   string
		content []byte
		conf    Config
		want    string
	}{
		{"not encrypted", []byte(`{"n":"` + canary + `"}`), Config{Identity: id}, "not an age file"},
		{"empty file", nil, Config{Identity: id}, "not an age file"},
		{"for another key", good, Config{Identity: other}, "another key"},
		{"a passphrase for a file of keys", good, Config{Passphrase: creds.Static([]byte(canary))}, "another key"},
		{"work that takes days", costly, Config{Passphrase: creds.Static([]byte("p"))}, "age: "},
		{"cut short", good[:len(good)-1], Config{Identity: id}, "damaged"},
		{"cut within a chunk", long[:len(long)-(40<<10)], Config{Identity: id}, "damaged"},
		{"cut between two chunks", long[:len(long)-(len(`{"n":""}`)+100<<10-64<<10+16)], Config{Identity: id}, "cut short"},
		{"a byte more", append(bytes.Clone(good), 'x'), Config{Identity: id}, "damaged"},
		{"a bit flipped", append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), Config{Identity: id}, "damaged"},
		{"broken armor", []byte(armor.Header + "\n" + canary), Config{Identity: id}, "not an age file"},
		{"an identity that is none", good, Config{Identity: creds.Static([]byte("AGE-SECRET-KEY-1" + canary))}, "what age-keygen writes"},
		{"no identity", good, Config{}, "Identity is missing"},
		{"name twice", encrypt(`{"n":"a","n":"`+canary+`"}`, r), Config{Identity: id}, "not one JSON object"},
		{"not an object", encrypt(`["`+canary+`"]`, r), Config{Identity: id}, "not one JSON object"},
		{"a number", encrypt(`{"n":1234}`, r), Config{Identity: id}, "not one JSON object"},
		{"other data behind it", encrypt(`{"n":"a"}{"n":"b"}`, r), Config{Identity: id}, "not one JSON object"},
		{"not there", encrypt(`{"N":"`+canary+`"}`, r), Config{Identity: id}, "no secret \"n\""},
		{"empty secret", encrypt(`{"n":""}`, r), Config{Identity: id}, "no secret \"n\""},
		{"too large", make([]byte, MaxFile+1), Config{Identity: id}, "larger than"},
	}
	for i, test := range tests {
		test.conf.Path = filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(test.conf.Path, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := issue(t, Open(test.conf).Secret("n"))
		wantError(t, test.fault, err, test.want)
	}
	path := filepath.Join(dir, "writable")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	_, err = issue(t, Open(Config{Path: path, Identity: id}).Secret("n"))
	wantError(t, "others may write", err, "may write it")
	_, err = issue(t, Open(Config{Path: dir, Identity: id}).Secret("n"))
	wantError(t, "a directory", err, "not a regular file")
	_, err = issue(t, Open(Config{Path: path + ".gone", Identity: id}).Secret("n"))
	wantError(t, "gone", err, "no such file")
	if _, err := Open(Config{Path: path + ".gone"}).Whole().(creds.Planner).Plan(creds.Spec{}, creds.Request{}); err == nil {
		t.Error("a plan for a file that is gone")
	}

	var armored bytes.Buffer
	w := armor.NewWriter(&armored)
	if _, err := w.Write(good); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "armored")
	if err := os.WriteFile(path, armored.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := issue(t, Open(Config{Path: path, Identity: id}).Secret("n")); err != nil || got != canary {
		t.Errorf("armored: %q, %v", got, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	id, public := identity(t)
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Write(path, map[string]creds.Value{"n": value("x")}, PublicKey(public)); err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]creds.Provider{
		"a name has":             Open(Config{Path: path, Identity: id}).Secret("a b"),
		"not both":               Open(Config{Path: path, Identity: id, Passphrase: id}).Secret("n"),
		"Identity is missing":    Open(Config{Path: path}).Whole(),
		"no such file":           Open(Config{Path: path + ".gone", Identity: id}).Whole(),
		"Config.Passphrase: the": Open(Config{Path: path, Passphrase: creds.Static(nil)}).Whole(),
	} {
		wantError(t, want, p.(creds.Checker).Check(creds.Spec{}), want)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	_, public := identity(t)
	path := filepath.Join(t.TempDir(), "secrets.age")
	one := map[string]creds.Value{"n": value(canary)}
	if err := Write(path, one, PublicKey(public)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want    string
		secrets map[string]creds.Value
		to      []Recipient
	}{
		{"0 recipients", one, nil},
		{"21 recipients", one, make([]Recipient, 21)},
		{"a recipient is missing", one, []Recipient{{}}},
		{"not a public key", one, []Recipient{PublicKey("AGE-SECRET-KEY-1" + canary)}},
		{"the passphrase is empty", one, []Recipient{WithPassphrase(creds.Value{})}},
		{"age: ", one, []Recipient{PublicKey(public), cheap("x")}},
		{"a name has", map[string]creds.Value{"a b": value("x")}, []Recipient{PublicKey(public)}},
		{"is empty", map[string]creds.Value{"a": {}}, []Recipient{PublicKey(public)}},
		{"not UTF-8", map[string]creds.Value{"a": value("\xff" + canary)}, []Recipient{PublicKey(public)}},
		{"larger than", map[string]creds.Value{"a": value(strings.Repeat("x", MaxFile))}, []Recipient{PublicKey(public)}},
	} {
		wantError(t, test.want, Write(path, test.secrets, test.to...), test.want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the old file is gone: %v", err)
	}
}

func TestOneAtATimeAndOnlySoLong(t *testing.T) {
	t.Parallel()
	id, public := identity(t)
	path := filepath.Join(t.TempDir(), "secrets.age")
	if err := Write(path, map[string]creds.Value{"n": value("x")}, PublicKey(public)); err != nil {
		t.Fatal(err)
	}
	store := Open(Config{Path: path, Identity: id})
	store.turn <- struct{}{} // somebody derives a key
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Secret("n").Issue(ctx, creds.Spec{}, creds.Request{}); err == nil {
		t.Error("did not wait")
	}
	<-store.turn
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := issue(t, store.Secret("n")); err != nil || got != "x" {
				t.Error(got, err)
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"a":"b"}`))
	f.Add([]byte(`{"a":"\u0062","c":null}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := open(content)
		if err != nil && all != nil {
			t.Fatal("secrets beside an error")
		}
	})
}

func FuzzUnseal(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := seal([]byte("content"), []Recipient{PublicKey(id.Recipient().String())})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte(armor.Header))
	f.Fuzz(func(t *testing.T, data []byte) {
		if content, err := unseal(data, []age.Identity{id}); err == nil && len(content) > len(data) {
			t.Fatalf("%d bytes out of %d", len(content), len(data))
		}
	})
}

// The plan of a file needs its state, and no more than that.
func BenchmarkPlan(b *testing.B) {
	path := filepath.Join(b.TempDir(), "secrets.age")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		b.Fatal(err)
	}
	p := Open(Config{Path: path}).Secret("n").(creds.Planner)
	for b.Loop() {
		if _, err := p.Plan(creds.Spec{}, creds.Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
