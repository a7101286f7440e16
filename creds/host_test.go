package creds_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// imports are what this package may use. None of it knows the environment, a profile,
// a metadata service or another process.
var imports = map[string]bool{
	"bytes": true, "cmp": true, "context": true, "crypto/sha256": true, "encoding/json": true, "errors": true, "fmt": true, "io": true, "io/fs": true,
	"iter": true, "log/slog": true, "maps": true, "math": true, "math/rand/v2": true, "reflect": true, "runtime": true, "slices": true, "strconv": true,
	"strings": true, "sync": true, "sync/atomic": true, "time": true,
	"github.com/modelcontextprotocol/go-sdk/mcp":   true,
	"github.com/mcpsec/mcpsec-go/mcpsec":           true,
	"github.com/mcpsec/mcpsec-go/internal/regular": true, // opens the one file that File names
}

// forbidden are selectors that reach credentials of the host whatever they are imported
// as.
var forbidden = map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true, "UserHomeDir": true, "UserConfigDir": true, "Command": true, "CommandContext": true, "Dial": true, "DialContext": true}

// Case 25: no handler can reach credentials of the host through this package, because
// the package cannot.
func TestHostIsOutOfReach(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		read++
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range reaches(file) {
			t.Errorf("%s: %s", e.Name(), fault)
		}
	}
	if read < 15 {
		t.Errorf("only %d files were looked at", read)
	}
}

// reaches lists what a file uses that is not allowed.
func reaches(file *ast.File) (faults []string) {
	for _, i := range file.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err != nil || !imports[path] {
			faults = append(faults, "imports "+i.Path.Value)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && forbidden[s.Sel.Name] {
			faults = append(faults, "uses "+s.Sel.Name)
		}
		return true
	})
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				faults = append(faults, "links by name")
			}
		}
	}
	return faults
}

// TestTheSearchFinds: what must not be there would be seen.
func TestTheSearchFinds(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"import \"os\"", "import o \"os\"\nvar x = o.Getenv(\"AWS_SECRET_ACCESS_KEY\")", "import _ \"net/http\"", "import \"os/exec\"", "//go:linkname env os.runtime_args\nvar x int",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if len(reaches(file)) == 0 {
			t.Errorf("%q is not noticed", source)
		}
	}
}

// Case 25: with credentials all over the host, a tool without a binding has none.
func TestHostCredentialsAreNotADefault(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "VAULT_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "store"} {
		t.Setenv(name, "canary-on-the-host")
	}
	cs, _ := serve(t, creds.New(creds.ForTool("bound", creds.Named("store", creds.Static([]byte("k"))))), map[string]body{"unbound": reveal, "bound": reveal})
	for _, ask := range []string{"store", "AWS_SECRET_ACCESS_KEY", "aws", "default", ""} {
		text, err := call(t, cs, "unbound", ask)
		denied(t, err, "creds.not_bound")
		if strings.Contains(text+err.Error(), "canary") {
			t.Errorf("%s: %s, %v", ask, text, err)
		}
	}
}
