package mcpsecgo

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go code that README.md shows is the code of the example below it names: it is
// compiled, and what it says is true.
func TestReadmeShowsCompiledCode(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	example := flat(read(t, "example_test.go"))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Fatal("README.md shows no Go code")
	}
	for _, b := range blocks {
		if !strings.Contains(example, flat(b[1])) {
			t.Errorf("README.md shows code that example_test.go does not hold:\n%s", b[1])
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
	for file, dir := range map[string]string{"README.md": "", "CONTRIBUTING.md": "", "SECURITY.md": "", "docs/architecture.md": "docs/"} {
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
