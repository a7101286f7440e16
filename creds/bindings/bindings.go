package bindings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// MaxSize bounds a file of bindings, in bytes.
const MaxSize = 1 << 20

// A document is the file as it is written.
type document struct {
	Schema string                       `json:"$schema,omitempty"` // for editors
	Bases  map[string]*base             `json:"bases,omitempty"`
	Tools  map[string]map[string]*grant `json:"tools"`
}

// A base is what several credentials share: exactly one of these.
type base struct {
	AWSKeys          *awsKeys          `json:"awsKeys,omitempty"`
	AWSWebIdentity   *awsWebIdentity   `json:"awsWebIdentity,omitempty"`
	AWSRolesAnywhere *awsRolesAnywhere `json:"awsRolesAnywhere,omitempty"`
	Vault            *vaultServer      `json:"vault,omitempty"`
	GCP              *gcpAccount       `json:"gcp,omitempty"`
	Azure            *azureApplication `json:"azure,omitempty"`
	OAuth            *oauthServer      `json:"oauth,omitempty"`
	Age              *ageFile          `json:"age,omitempty"`
}

// A grant is one credential of one tool: exactly one of these.
type grant struct {
	File          *fileSecret    `json:"file,omitempty"`
	Keyring       *keyringSecret `json:"keyring,omitempty"`
	Age           *ageSecret     `json:"age,omitempty"`
	AWSRole       *awsRole       `json:"awsRole,omitempty"`
	AWSSecret     *awsSecret     `json:"awsSecret,omitempty"`
	AWSParameter  *awsParameter  `json:"awsParameter,omitempty"`
	VaultKV       *vaultKV       `json:"vaultKV,omitempty"`
	VaultLease    *vaultLease    `json:"vaultLease,omitempty"`
	GCPToken      *gcpToken      `json:"gcpToken,omitempty"`
	GCPSecret     *gcpSecret     `json:"gcpSecret,omitempty"`
	AzureToken    *azureToken    `json:"azureToken,omitempty"`
	AzureSecret   *azureSecret   `json:"azureSecret,omitempty"`
	OAuthExchange *oauthExchange `json:"oauthExchange,omitempty"`
	OAuthClient   *oauthClient   `json:"oauthClient,omitempty"`
}

// An opener makes what a base stands for, or notes why not and returns nil.
type opener interface {
	open(d *decoder, at place) any
}

// A granter makes a credential, or notes why not.
type granter interface {
	grant(d *decoder, at place, name string) creds.Grant
}

// Decode reads bindings, sorted by tool. Its error has every fault of the content, each
// with the member it is about; a fault of the JSON itself comes alone.
//
// Decode opens what the members roots, certificate, key and the secret of awsKeys name,
// and no other file and no network. What else can be told before the first call,
// [creds.Injector.Check] tells, and so mcpsec.New. The bindings share what they have in
// common: give them to one creds.New, which closes them.
func Decode(data []byte) ([]creds.Binding, error) {
	var doc document
	if err := strictjson.Decode(data, MaxSize, &doc); err != nil {
		if strings.Contains(err.Error(), "bindings.reference") {
			err = fmt.Errorf(`%w: a secret never stands here, but where it is, such as {"file": {"path": "/run/secrets/NAME"}}`, err)
		}
		return nil, fmt.Errorf("bindings: %w", err)
	}
	d := &decoder{}
	if d.plain(data); d.faults == nil {
		bound := d.bind(&doc)
		if d.faults == nil {
			return bound, nil
		}
	}
	return nil, errors.Join(d.faults...)
}

// Load decodes a regular file. Its error names the file.
func Load(path string) ([]creds.Binding, error) {
	data, err := read(path)
	if err == nil {
		var bound []creds.Binding
		if bound, err = Decode(data); err == nil {
			return bound, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

func read(path string) ([]byte, error) {
	f, _, err := regular.Open(path, MaxSize, func(info fs.FileInfo) error {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("its mode %04o lets its group or others decide what tools get: take the right to write from them", info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

// bind makes the bases and then what uses them. Age files come first, because the others
// may have their secrets in one; so there is no circle.
func (d *decoder) bind(doc *document) []creds.Binding {
	opened := make(map[string]any, len(doc.Bases))
	for _, early := range []bool{true, false} {
		for _, name := range slices.Sorted(maps.Keys(doc.Bases)) {
			at := place("bases").in(name)
			b := doc.Bases[name]
			if (b != nil && b.Age != nil) != early {
				continue
			}
			if kind, o := only[opener](d, at, b); o != nil {
				opened[name] = o.open(d, at.in(kind))
			}
		}
		d.bases = opened
	}
	if len(doc.Tools) == 0 {
		d.faultf("tools", "is empty or missing: name each tool and its credentials")
	}
	bound := make([]creds.Binding, 0, len(doc.Tools))
	for _, tool := range slices.Sorted(maps.Keys(doc.Tools)) {
		bound = append(bound, creds.ForTool(tool, d.grants(place("tools").in(tool), tool, doc.Tools[tool])...))
	}
	return bound
}

func (d *decoder) grants(at place, tool string, named map[string]*grant) []creds.Grant {
	switch {
	case tool == "":
		d.faultf(at, "a tool has a name")
	case len(named) == 0:
		d.faultf(at, "gets nothing: name its credentials, or leave the tool out")
	}
	grants := make([]creds.Grant, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if kind, g := only[granter](d, at.in(name), named[name]); g != nil {
			grants = append(grants, g.grant(d, at.in(name).in(kind), name))
		}
	}
	return grants
}
