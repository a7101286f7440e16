package sigstore

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/mcpsec/mcpsec-go/attest/internal/conformance"
	"github.com/mcpsec/mcpsec-go/attest/internal/keyless"
)

// A repository is one of The Update Framework, with one key for all roles.
type repository struct {
	tb     testing.TB
	signer signature.Signer
	root   []byte

	mu    sync.Mutex
	files map[string][]byte
	asked int
}

func newRepository(tb testing.TB) *repository {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	r := &repository{tb: tb}
	if r.signer, err = signature.LoadSigner(private, crypto.Hash(0)); err != nil {
		tb.Fatal(err)
	}
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	root := metadata.Root(time.Now().Add(365 * 24 * time.Hour))
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		if err := root.Signed.AddKey(key, role); err != nil {
			tb.Fatal(err)
		}
	}
	r.root = signed(r, root)
	return r
}

func signed[T metadata.Roles](r *repository, m *metadata.Metadata[T]) []byte {
	r.tb.Helper()
	if _, err := m.Sign(r.signer); err != nil {
		r.tb.Fatal(err)
	}
	data, err := m.ToBytes(true)
	if err != nil {
		r.tb.Fatal(err)
	}
	return data
}

// publish shows a trusted root until a time.
func (r *repository) publish(version int64, trusted []byte, until time.Time) {
	r.tb.Helper()
	targets := metadata.Targets(until)
	targets.Signed.Version = version
	file, err := metadata.TargetFile().FromBytes("trusted_root.json", trusted, "sha256")
	if err != nil {
		r.tb.Fatal(err)
	}
	targets.Signed.Targets["trusted_root.json"] = file
	snapshot := metadata.Snapshot(until)
	snapshot.Signed.Version, snapshot.Signed.Meta["targets.json"] = version, metadata.MetaFile(version)
	stamp := metadata.Timestamp(until)
	stamp.Signed.Version, stamp.Signed.Meta["snapshot.json"] = version, metadata.MetaFile(version)
	sum := sha256.Sum256(trusted)
	v := string('0' + rune(version))
	files := map[string][]byte{
		"/1.root.json": r.root, "/timestamp.json": signed(r, stamp), "/" + v + ".snapshot.json": signed(r, snapshot), "/" + v + ".targets.json": signed(r, targets),
		"/targets/" + hex.EncodeToString(sum[:]) + ".trusted_root.json": trusted,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = files
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	data, ok := r.files[req.URL.Path]
	r.asked++
	r.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write(data) // the client may be gone
}

func (r *repository) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func TestTUF(t *testing.T) {
	t.Parallel()
	l := conformance.New(t)
	bundle := conformance.JSON(t, l.Bundle(conformance.Recipe{
		Request: conformance.Request{Subjects: []string{subject}, Issuer: issuer}, Payload: []byte(`{"_type":"x"}`),
	}))
	soon := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		publish func(r *repository)
		first   func(r *repository) []byte // the root.json that is pinned
		bare    bool                       // no cache
		why     string
	}{
		"good, without a cache":            {publish: func(r *repository) { r.publish(1, l.Root(), soon) }, bare: true},
		"good":                             {publish: func(r *repository) { r.publish(1, l.Root(), soon) }},
		"neg 31: frozen until it expired":  {publish: func(r *repository) { r.publish(1, l.Root(), time.Now().Add(-time.Hour)) }, why: "expired"},
		"repository of another root":       {publish: func(r *repository) { r.publish(1, l.Root(), soon) }, first: func(r *repository) []byte { return newRepository(r.tb).root }, why: "TUF"},
		"trusted root of another Sigstore": {publish: func(r *repository) { r.publish(1, conformance.New(r.tb).Root(), soon) }, why: "failed to verify"},
		"target that nobody signed": {publish: func(r *repository) {
			r.publish(1, l.Root(), soon)
			swap(r, "trusted_root.json", conformance.New(r.tb).Root())
		}, why: "TUF"},
		"timestamp that is far too long":    {publish: func(r *repository) { r.publish(1, l.Root(), soon); swap(r, "timestamp.json", make([]byte, 1<<20)) }, why: "more than"},
		"repository without a trusted root": {publish: func(*repository) {}, why: "404"},
		"trusted root that is not strict":   {publish: func(r *repository) { r.publish(1, []byte(`{"mediaType":"a","mediaType":"b"}`), soon) }, why: "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c.publish(r)
			s := httptest.NewServer(r)
			t.Cleanup(s.Close)
			root := r.root
			if c.first != nil {
				root = c.first(r)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			cache := t.TempDir()
			if c.bare {
				cache = ""
			}
			v, err := Keyless(Identity(subject, issuer), TUF(Repository{Mirror: s.URL, Root: root, Cache: cache, Client: client}))
			if err != nil {
				t.Fatal(err)
			}
			if r.requests() != 0 {
				t.Error("the network was used before anything was asked")
			}
			_, err = v.Verify(t.Context(), bundle)
			if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
				t.Fatalf("%v, want %q", err, c.why)
			}
			if c.why != "" {
				return
			}
			asked := r.requests()
			if _, err := v.Verify(t.Context(), bundle); err != nil || r.requests() != asked {
				t.Errorf("the second time: %v, %d requests more", err, r.requests()-asked)
			}
		})
	}
}

func swap(r *repository, suffix string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.files {
		if strings.HasSuffix(name, suffix) {
			r.files[name] = data
		}
	}
}

// TestTUFRefresh goes a day ahead: the root is asked for again, an older state of the
// repository is refused, also by a verifier that starts with the cache of another,
// and nothing is trusted that cannot be renewed.
func TestTUFRefresh(t *testing.T) {
	t.Parallel()
	l := conformance.New(t)
	r := newRepository(t)
	soon := time.Now().Add(time.Hour)
	r.publish(2, l.Root(), soon)
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	now, cache := time.Now(), t.TempDir()
	source := func() *fetched {
		return &fetched{
			repository: Repository{Mirror: s.URL, Root: r.root, Cache: cache, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}},
			now:        func() time.Time { return now },
		}
	}
	f := source()
	if _, err := f.root(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(refresh)
	r.publish(3, l.Root(), soon)
	if _, err := f.root(t.Context()); err != nil {
		t.Errorf("after a day: %v", err)
	}
	now = now.Add(refresh)
	r.publish(2, l.Root(), soon)
	if _, err := f.root(t.Context()); err == nil {
		t.Error("an older state of the repository was taken")
	}
	if _, err := source().root(t.Context()); err == nil {
		t.Error("an older state of the repository was taken after a restart")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.root(ctx); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("cancelled: %v", err)
	}
	var _ keyless.Material = f.root
}
