package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

const planted = "s3cr3t/+\"<ü>&value\n0123456789abcdef~"

func TestTheScannerFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	var s Scanner
	if err := s.Add("planted", planted); err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(map[string]string{"k": planted})
	if err != nil {
		t.Fatal(err)
	}
	reversed := []byte(planted)
	slices.Reverse(reversed)
	for name, text := range map[string]string{
		"as it is":        "x" + planted + "x",
		"json":            string(quoted),
		"quoted":          fmt.Sprintf("%q", planted),
		"ascii":           fmt.Sprintf("%+q", planted),
		"go syntax":       fmt.Sprintf("%#v", []byte(planted)) + fmt.Sprintf("%d", []byte(planted)),
		"hex":             fmt.Sprintf("%x", planted),
		"upper hex":       fmt.Sprintf("%X", planted),
		"spaced hex":      fmt.Sprintf("% x", planted),
		"hex dump":        hex.EncodeToString([]byte("ab" + planted)),
		"base64":          base64.StdEncoding.EncodeToString([]byte(planted)),
		"base64 shifted":  base64.StdEncoding.EncodeToString([]byte("x" + planted + "yz")),
		"base64 twice":    base64.StdEncoding.EncodeToString([]byte("xy" + planted)),
		"base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(planted)),
		"base64 in lines": strings.Join(split(base64.StdEncoding.EncodeToString([]byte(planted)), 5), "\r\n"),
		"query":           "?k=" + url.QueryEscape(planted),
		"path":            "/" + url.PathEscape(planted),
		"backwards":       string(reversed),
		"the first half":  planted[:len(planted)/2+7],
		"the second half": planted[len(planted)-23:],
		"broken in lines": strings.Join(split(planted, 4), "\n    "),
	} {
		if len(s.Scan(name, []byte("before "+text+" after"))) == 0 {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	for _, text := range []string{"", "s3cr3t", "nothing here", strings.Repeat("0123456789", 10)} {
		if found := s.Scan("clean", []byte(text)); found != nil {
			t.Errorf("%q: %v", text, found)
		}
	}
	if err := s.Add("short", "hunter2"); err == nil {
		t.Error("a secret that cannot be told from chance is taken")
	}
	for _, f := range s.Scan("place", []byte(planted)) {
		if strings.Contains(fmt.Sprintf("%+v", f), "s3cr3t") {
			t.Errorf("the finding has the secret: %v", f)
		}
	}
}

func split(s string, size int) []string {
	var parts []string
	for len(s) > size {
		parts, s = append(parts, s[:size]), s[size:]
	}
	return append(parts, s)
}

func TestGitleaksFindsWhatIsPlantedAndNothingElse(t *testing.T) {
	t.Parallel()
	program := oracle.Path(t, "gitleaks")
	dir := t.TempDir()
	path := filepath.Join(dir, "log.txt")
	for text, want := range map[string]bool{
		"nothing to see here":                true,
		"token " + newCanaries(t)["file"]:    false,
		"token " + newCanaries(t)["keyring"]: false,
	} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Gitleaks(t.Context(), program, dir, nil)
		if err != nil || (len(found) == 0) != want {
			t.Errorf("%s: %v, %v", text, found, err)
		}
	}
	if _, err := Gitleaks(t.Context(), program, filepath.Join(dir, "gone"), nil); err == nil {
		t.Error("what is not there has no secrets")
	}
}
