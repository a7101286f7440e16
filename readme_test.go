package mcpsecgo

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go code that the documents show is that of the examples: it is compiled, and what
// it says is true.
func TestDocumentsShowCompiledCode(t *testing.T) {
	t.Parallel()
	code := read(t, "example_test.go") + read(t, "example_transport_test.go")
	examples := flat(regexp.MustCompile("(?m) //nolint:.*$").ReplaceAllString(code, "")) // of no interest to readers
	for _, file := range []string{"README.md", "docs/https.md", "docs/stdio.md"} {
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, file), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no Go code", file)
		}
		for _, b := range blocks {
			if !strings.Contains(examples, flat(b[1])) {
				t.Errorf("%s shows code that the examples do not hold:\n%s", file, b[1])
			}
		}
	}
}

func TestReadmeNamesTheCommands(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	for _, command := range []string{"go run ./examples/quickstart", "go test ./..."} {
		if !strings.Contains(readme, command) {
			t.Errorf("README.md does not name %q", command)
		}
	}
}

// Relative links in the documents lead somewhere.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for file, dir := range map[string]string{"README.md": "", "CONTRIBUTING.md": "", "SECURITY.md": "", "docs/architecture.md": "docs/", "docs/https.md": "docs/", "docs/stdio.md": "docs/"} {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(dir + m[1]); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// flat folds white space, so that indentation does not matter.
func flat(code string) string { return strings.Join(strings.Fields(code), " ") }
