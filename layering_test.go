package mcpsecgo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mcpsec/mcpsec-go"

// A pkg is what go list says of a package.
type pkg struct {
	ImportPath string   `json:"ImportPath"`
	Standard   bool     `json:"Standard"`
	Imports    []string `json:"Imports"`
	Deps       []string `json:"Deps"`
	Module     *struct {
		Path string `json:"Path"`
	} `json:"Module"`
}

func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps,Module"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	pkgs := make(map[string]pkg)
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
}

// controls are the packages of which none may import another.
var controls = []string{"mcpsec/allowlist", "audit", "ratelimit", "attest", "creds"}

func TestCoreImportsStandardLibraryAndSDKOnly(t *testing.T) {
	t.Parallel()
	all := list(t, "-deps", "./mcpsec")
	for _, imported := range all[module+"/mcpsec"].Imports {
		if all[imported].Standard || strings.HasPrefix(imported, "github.com/modelcontextprotocol/go-sdk/") {
			continue
		}
		if imported == "github.com/yosida95/uritemplate/v3" { // the SDK's own: both must read a template alike
			continue
		}
		t.Errorf("mcpsec imports %s", imported)
	}
}

func TestControlsDoNotImportEachOther(t *testing.T) {
	t.Parallel()
	for _, control := range controls {
		for _, dep := range list(t, "./"+control)[module+"/"+control].Deps {
			name, ours := strings.CutPrefix(dep, module+"/")
			if ours && name != control && slices.Contains(controls, name) {
				t.Errorf("%s imports %s", control, name)
			}
		}
	}
}

// heavy are the modules that only leaf packages may bring in.
var heavy = []string{
	"github.com/sigstore", "github.com/aws", "github.com/redis", "go.opentelemetry.io", "github.com/twmb",
	"github.com/nats-io", "google.golang.org/grpc", "github.com/spf13", "k8s.io",
	"google.golang.org/protobuf", "github.com/secure-systems-lab", "golang.org/x/vuln", "github.com/CycloneDX", "filippo.io",
	"github.com/spiffe", "github.com/caddyserver", "github.com/cilium", "github.com/opencontainers",
}

// transports are the packages of the two transports; what else lies below transport is a
// leaf.
var transports = []string{"transport/stdio", "transport/stdio/sandbox", "transport/stdio/egress", "transport/https", "transport/https/pki"}

func corePackages() []string {
	args := []string{"-deps", "./mcpsec"}
	for _, name := range slices.Concat(controls, transports) {
		args = append(args, "./"+name)
	}
	return args
}

func TestTransportsImportNoControl(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		for _, dep := range list(t, "./"+transport)[module+"/"+transport].Deps {
			if name, ours := strings.CutPrefix(dep, module+"/"); ours && slices.Contains(controls, name) {
				t.Errorf("%s imports %s", transport, name)
			}
		}
	}
}

func TestCorePackagesLinkNothingHeavy(t *testing.T) {
	t.Parallel()
	for name, p := range list(t, corePackages()...) {
		for _, h := range heavy {
			if name == h || strings.HasPrefix(name, h+"/") {
				t.Errorf("a core package links %s (module %v)", name, p.Module)
			}
		}
	}
}

// allowed are the modules the core packages link, so that a new one is a decision
// and not an accident.
var allowed = []string{
	module,
	"github.com/modelcontextprotocol/go-sdk", "github.com/google/jsonschema-go", "github.com/yosida95/uritemplate/v3",
	"github.com/segmentio/encoding", "github.com/segmentio/asm", "golang.org/x/oauth2", "golang.org/x/sync", "golang.org/x/sys", "golang.org/x/time", // go-sdk's own
	"github.com/lmittmann/tint", "github.com/sony/gobreaker/v2",
	"golang.org/x/mod",                      // Merkle tree and signed notes of the audit ledger
	"golang.org/x/net", "golang.org/x/text", // DNS messages and host names of egress
}

func TestCorePackagesLinkKnownModulesOnly(t *testing.T) {
	t.Parallel()
	for name, p := range list(t, corePackages()...) {
		if p.Module != nil && !slices.Contains(allowed, p.Module.Path) {
			t.Errorf("a core package links %s of module %s", name, p.Module.Path)
		}
	}
}

// light are packages that are no controls and that anybody may link for what they do.
var light = map[string][]string{
	"attest/manifest": nil, "attest/envelope": nil, "attest/registry": nil, "attest/lock": {"golang.org/x/text"}, "attest/lint": {"golang.org/x/text"},
	"transport/https/bearer": {"github.com/golang-jwt/jwt/v5"},
	"creds/vault":            nil, "creds/oauth": nil, "creds/gcp": nil, "creds/azure": nil, "creds/age": {"filippo.io/age", "filippo.io/hpke", "golang.org/x/crypto"},
}

func TestLightPackagesLinkKnownModulesOnly(t *testing.T) {
	t.Parallel()
	for name, own := range light {
		for dep, p := range list(t, "-deps", "./"+name) {
			if p.Module != nil && !slices.Contains(allowed, p.Module.Path) && !slices.Contains(own, p.Module.Path) {
				t.Errorf("%s links %s of module %s", name, dep, p.Module.Path)
			}
		}
	}
}

// TestSignaturesByIdentityDoNotLinkCosign: the library that cosign is made of is enough.
func TestSignaturesByIdentityDoNotLinkCosign(t *testing.T) {
	t.Parallel()
	for dep := range list(t, "-deps", "./attest/sigstore") {
		if strings.HasPrefix(dep, "github.com/sigstore/cosign") {
			t.Errorf("attest/sigstore links %s", dep)
		}
	}
}

func TestNobodyImportsExamplesAndCommands(t *testing.T) {
	t.Parallel()
	for name, p := range list(t, "./...") {
		for _, imported := range p.Imports {
			for _, top := range []string{"examples", "cmd"} {
				inside := module + "/" + top + "/"
				if strings.HasPrefix(imported, inside) && !strings.HasPrefix(name, path.Dir(imported)) {
					t.Errorf("%s imports %s", name, imported)
				}
			}
		}
	}
}
