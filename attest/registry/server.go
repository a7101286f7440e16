package registry

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Limits of an entry.
const (
	MaxServerJSON = 1 << 20 // in bytes
	maxPackages   = 64      // and as many remotes
	maxText       = 2048    // bytes of a URL or identifier
)

// A Package is one way to run the server on the host.
type Package struct {
	RegistryType    string `json:"registryType"` // "npm", "pypi", "oci", "nuget", "mcpb", ...
	RegistryBaseURL string `json:"registryBaseUrl"`
	Identifier      string `json:"identifier"`
	Version         string `json:"version"`
	// FileSHA256 is the digest of the package's file, or empty.
	FileSHA256 string `json:"fileSha256"`
}

// A Remote is a server that runs elsewhere.
type Remote struct {
	Type string `json:"type"` // "streamable-http" or "sse"
	URL  string `json:"url"`
}

type server struct {
	Name     string
	Version  string
	Packages []Package
	Remotes  []Remote
}

var (
	// A name is a namespace in reverse DNS form, one slash, and a name in it.
	serverName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?/[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?$`)
	// A version names one release: no range, no tag such as latest.
	release = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_-]{0,254}$`)
	ranges  = regexp.MustCompile(`(?i)^(?:latest|.*\.[x*]|x)$`)
	image   = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
)

// parse reads server.json. The schema grows, so members it does not know are left
// alone; but nothing may come twice, and no member may differ from one that is read in
// its case only, as some decoder would take the one for the other.
func parse(data []byte) (*server, error) {
	if len(data) > MaxServerJSON {
		return nil, fmt.Errorf("more than %d bytes", MaxServerJSON)
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return nil, err
	}
	s := &server{}
	var packages, remotes []json.RawMessage
	if err := read(data, map[string]any{
		"name": &s.Name, "version": &s.Version, "packages": &packages, "remotes": &remotes,
	}); err != nil {
		return nil, err
	}
	if len(s.Name) > 200 || !serverName.MatchString(s.Name) {
		return nil, errors.New("name is not NAMESPACE/NAME in reverse DNS form")
	}
	if err := checkVersion(s.Version); err != nil {
		return nil, err
	}
	if len(packages) > maxPackages || len(remotes) > maxPackages {
		return nil, fmt.Errorf("more than %d packages or remotes", maxPackages)
	}
	if len(packages)+len(remotes) == 0 {
		return nil, errors.New("neither packages nor remotes")
	}
	for i, raw := range packages {
		p, err := parsePackage(raw)
		if err != nil {
			return nil, fmt.Errorf("package %d: %w", i+1, err)
		}
		s.Packages = append(s.Packages, p)
	}
	for i, raw := range remotes {
		r, err := parseRemote(raw)
		if err != nil {
			return nil, fmt.Errorf("remote %d: %w", i+1, err)
		}
		s.Remotes = append(s.Remotes, r)
	}
	return s, nil
}

func parsePackage(raw []byte) (p Package, err error) {
	if err := read(raw, map[string]any{
		"registryType": &p.RegistryType, "registryBaseUrl": &p.RegistryBaseURL,
		"identifier": &p.Identifier, "version": &p.Version, "fileSha256": &p.FileSHA256,
	}); err != nil {
		return p, err
	}
	switch {
	case p.RegistryType == "" || len(p.RegistryType) > 64 || p.Identifier == "" || len(p.Identifier) > maxText || len(p.RegistryBaseURL) > maxText:
		return p, errors.New("registryType and identifier are needed, of a sane length")
	case p.FileSHA256 != "" && !isDigest(p.FileSHA256):
		return p, errors.New("fileSha256 is not 64 lower-case hexadecimal digits")
	case p.RegistryType == "mcpb" && p.FileSHA256 == "":
		return p, errors.New("an mcpb package needs fileSha256")
	}
	if p.Version != "" {
		err = checkVersion(p.Version)
	}
	return p, err
}

func parseRemote(raw []byte) (r Remote, err error) {
	if err := read(raw, map[string]any{"type": &r.Type, "url": &r.URL}); err != nil {
		return r, err
	}
	if r.Type != "streamable-http" && r.Type != "sse" {
		return r, errors.New("type is neither streamable-http nor sse")
	}
	if u, err := url.Parse(r.URL); err != nil || len(r.URL) > maxText || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return r, errors.New("url is no https URL")
	}
	return r, nil
}

// pinned reports whether the entry says which bytes the package is.
func (p Package) pinned() bool {
	if strings.EqualFold(p.RegistryType, "oci") { // an image is no file: only its own digest says which
		return image.MatchString(p.Identifier)
	}
	return p.FileSHA256 != ""
}

func checkVersion(v string) error {
	if !release.MatchString(v) || ranges.MatchString(v) {
		return errors.New("version does not name one release")
	}
	return nil
}

// read decodes members of a JSON object that is known to be strict.
func read(raw []byte, fields map[string]any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return errors.New("no JSON object")
	}
	for member, value := range members {
		for name, field := range fields {
			switch {
			case member == name:
				if json.Unmarshal(value, field) != nil {
					return fmt.Errorf("%s is of the wrong type", name)
				}
			case strings.EqualFold(member, name):
				return fmt.Errorf("member %.40q in the place of %q", member, name)
			}
		}
	}
	return nil
}

func isDigest(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64 && strings.ToLower(s) == s
}
