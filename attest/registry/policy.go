package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// maxAhead is how far the clock of a signer may be ahead.
const maxAhead = 5 * time.Minute

// ErrRefused is wrapped by every error about an entry that is not accepted. Errors
// without it are about the file system or the context.
var ErrRefused = errors.New("registry entry refused")

// A Policy says which registries are trusted, each by its base URL, for what. It is
// not changed while it is in use, and is then safe for concurrent use. The zero Policy
// refuses everything.
type Policy struct {
	Registries map[string]Registry

	now func() time.Time // time.Now if nil
}

// A Registry is the trust in one registry.
type Registry struct {
	// Trust says whose signatures count; envelope.Threshold asks for several. Required.
	Trust envelope.Verifier
	// Log asks for proof of a transparency log, with a trusted time, for each signature
	// that counts.
	Log bool
	// Digests asks that each package says which bytes it is: fileSha256, or for an image
	// an identifier with @sha256. An entry without packages is refused: of a server that
	// runs elsewhere, nobody says what it runs.
	Digests bool
	// Namespaces are those the registry may name servers in, such as "io.github.acme";
	// a namespace does not include those below it. Empty means all, for a registry that
	// nobody else shares a policy with: with several registries, the names of one could
	// else be taken by another.
	Namespaces []string
}

// A Release is one version of a server by the bytes of its entry.
type Release struct {
	Version string
	SHA256  string // of server.json
}

// A Request is an entry as a registry sent it, and what the host asked for.
type Request struct {
	Registry string // base URL, a key of the policy
	Name     string // of the server that was asked for; required
	Version  string // that was asked for; empty if any will do
	// Installed is what was accepted before, nil if nothing was. The host keeps it.
	Installed  *Release
	ServerJSON []byte // byte for byte
	Bundle     []byte // its signatures, as package envelope reads them
}

// An Entry is an accepted entry.
type Entry struct {
	Release

	Registry string
	Name     string
	Packages []Package
	Remotes  []Remote
	IssuedAt time.Time
	Signers  []string // who signed, for people and the record
	Logs     []string // "ORIGIN#INDEX" of the proofs, as far as there are any
}

// Accept returns the entry if the policy accepts it. Every error means no.
func (p *Policy) Accept(ctx context.Context, r Request) (*Entry, error) {
	trusted, ok := p.Registries[r.Registry]
	if !ok {
		return nil, refuse("the policy does not name the registry %.200q", r.Registry)
	}
	if err := trusted.check(r.Registry); err != nil {
		return nil, refuse("registry %s: %w", r.Registry, err)
	}
	entry, err := p.accept(ctx, trusted, r)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("attest/registry: %w", ctx.Err())
	}
	if err != nil {
		return nil, refuse("registry %s, server %.200q: %w", r.Registry, r.Name, err)
	}
	return entry, nil
}

func (p *Policy) accept(ctx context.Context, trusted Registry, r Request) (*Entry, error) {
	if len(r.ServerJSON) > MaxServerJSON {
		return nil, fmt.Errorf("server.json has more than %d bytes", MaxServerJSON)
	}
	signed, err := envelope.Open(ctx, r.Bundle, trusted.Trust)
	if err != nil {
		return nil, err
	}
	if signed[0].PayloadType != payloadType {
		return nil, errors.New("what is signed is no in-toto statement")
	}
	s, err := decode(signed[0].Payload)
	if err != nil {
		return nil, fmt.Errorf("the signed statement: %w", err)
	}
	entry := &Entry{
		Release:  Release{Version: s.Predicate.Version, SHA256: sum(r.ServerJSON)},
		Registry: r.Registry, Name: s.Predicate.Name, IssuedAt: s.Predicate.IssuedAt,
	}
	if err := p.checkSigners(entry, trusted, signed); err != nil {
		return nil, err
	}
	if s.Subject[0].Digest.SHA256 != entry.SHA256 {
		return nil, errors.New("the signature is not for these bytes of server.json")
	}
	content, err := parse(r.ServerJSON)
	if err != nil {
		return nil, fmt.Errorf("server.json: %w", err)
	}
	entry.Packages, entry.Remotes = content.Packages, content.Remotes
	switch {
	case s.Predicate.Registry != r.Registry:
		return nil, fmt.Errorf("signed for another registry: %.200q", s.Predicate.Registry)
	case content.Name != s.Predicate.Name || content.Version != s.Predicate.Version:
		return nil, errors.New("server.json has another name or version than the signed statement")
	case content.Name != r.Name:
		return nil, fmt.Errorf("the entry is that of another server, %.200q", content.Name)
	case r.Version != "" && content.Version != r.Version:
		return nil, fmt.Errorf("the entry is that of version %s, not %.100q", content.Version, r.Version)
	case !trusted.names(content.Name):
		return nil, errors.New("the policy does not let this registry name servers in that namespace")
	}
	if trusted.Digests {
		if len(content.Packages) == 0 {
			return nil, errors.New("the policy asks for packages with digests, and the entry has remotes only")
		}
		for i, pkg := range content.Packages {
			if !pkg.pinned() {
				return nil, fmt.Errorf("package %d has no digest", i+1)
			}
		}
	}
	return entry, r.Installed.allows(entry.Release)
}

// checkSigners holds each signature that counts against the time of issue and the
// demand for a log.
func (p *Policy) checkSigners(entry *Entry, trusted Registry, signed []*envelope.Verified) error {
	now := time.Now
	if p.now != nil {
		now = p.now
	}
	if entry.IssuedAt.After(now().Add(maxAhead)) {
		return errors.New("issued in the future: is the clock right?")
	}
	for _, v := range signed {
		if err := v.Covers(entry.IssuedAt); err != nil {
			return err
		}
		if trusted.Log && (v.Log == "" || v.Time.IsZero()) {
			return fmt.Errorf("the policy asks for proof of a transparency log, and the signature of %s has none", v.Signer)
		}
		entry.Signers = append(entry.Signers, v.Signer)
		if v.Log != "" {
			entry.Logs = append(entry.Logs, v.Log)
		}
	}
	return nil
}

// allows reports whether a release may follow the installed one.
func (installed *Release) allows(next Release) error {
	switch {
	case installed == nil:
		return nil
	case installed.Version == next.Version:
		if installed.SHA256 != next.SHA256 {
			return errors.New("another content of the version that is installed")
		}
		return nil
	}
	before, after := "v"+strings.TrimPrefix(installed.Version, "v"), "v"+strings.TrimPrefix(next.Version, "v")
	switch {
	case !semver.IsValid(before) || !semver.IsValid(after):
		return fmt.Errorf("nobody can tell whether %s or the installed %.100q is newer: they are no semantic versions", next.Version, installed.Version)
	case semver.Compare(after, before) <= 0:
		return fmt.Errorf("version %s is not newer than the installed %s", next.Version, installed.Version)
	}
	return nil
}

func (r Registry) check(base string) error {
	if r.Trust == nil {
		return errors.New("the policy trusts nobody's signature")
	}
	return checkBase(base)
}

// names reports whether the registry may name a server.
func (r Registry) names(server string) bool {
	if len(r.Namespaces) == 0 {
		return true
	}
	namespace, _, _ := strings.Cut(server, "/")
	return slices.Contains(r.Namespaces, namespace)
}

// baseURL has no second way to write a host, a port or a path.
var baseURL = regexp.MustCompile(`^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]*)?(/[A-Za-z0-9._~-]+)*$`)

// checkBase refuses base URLs of which there would be two spellings.
func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.User != nil || u.ForceQuery || u.RawQuery != "" || u.Fragment != "" ||
		u.String() != base || !baseURL.MatchString(base) || u.Port() == "443" || u.Path != "" && path.Clean(u.Path) != u.Path {
		return errors.New("the base URL of a registry is https://HOST/PATH, the host in lower case, without what can be left out: a port 443, a slash at the end, escapes, dots")
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("attest/registry: %w: %w", ErrRefused, fmt.Errorf(format, args...))
}
