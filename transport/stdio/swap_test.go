//go:build linux

package stdio_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// build builds the program that says a word.
func build(tb testing.TB, word string) (text []byte) {
	tb.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		tb.Skip("reason: the Go tool is not installed: apt install golang")
	}
	path := filepath.Join(tb.TempDir(), word)
	cmd := exec.CommandContext(tb.Context(), goTool, "build", "-ldflags", "-s -w -X main.word="+word, "-o", path, "./testdata/word")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	text, err = os.ReadFile(path)
	must(tb, err)
	return text
}

// only vouches for one digest.
func only(digest string) stdio.Verifier {
	return stdio.VerifierFunc(func(_ context.Context, sha256, _ string) error {
		if sha256 != digest {
			return errors.New("another one")
		}
		return nil
	})
}

// A swapper exchanges a file without rest, in every way that there is.
type swapper struct{ path, good, evil string }

func (s *swapper) turn(tb testing.TB, i int) {
	tb.Helper()
	side := s.path + ".side"
	from := s.evil
	if i%2 == 1 {
		from = s.good
	}
	text, err := os.ReadFile(from)
	must(tb, err)
	switch i / 2 % 4 {
	case 0: // a new file
		must(tb, os.WriteFile(side, text, 0o755))
		must(tb, os.Rename(side, s.path))
	case 1: // in place
		_ = os.WriteFile(s.path, text, 0o755)
	case 2: // cut short, and longer again
		_ = os.Truncate(s.path, 4096)
		_ = os.WriteFile(s.path, text, 0o755)
	case 3: // a link
		_ = os.Remove(side)
		must(tb, os.Symlink(from, side))
		must(tb, os.Rename(side, s.path))
	}
	_ = os.Chmod(s.path, 0o755)
}

// said runs what is there and returns what it says; "" if it was refused.
func said(tb testing.TB, path string, artifact stdio.Artifact) string {
	tb.Helper()
	l, _, _ := launch(tb, "")
	l.Command, l.Artifact, l.Env = []string{path}, artifact, nil
	c, err := l.Connect(tb.Context())
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || err != nil {
		return ""
	}
	defer c.Close()
	m, err := c.Read(tb.Context())
	must(tb, err)
	return m.(*jsonrpc.Request).Method
}

// Probe 86: only the bytes that were verified run, whatever is done to the files
// meanwhile.
func TestSwappedBytesNeverRun(t *testing.T) {
	rounds := 60
	if os.Getenv("MCPSEC_LONG") != "" {
		rounds = 1000
	}
	good, evil := build(t, "good"), build(t, "evil")
	sum := sha256.Sum256(good)
	digest := hex.EncodeToString(sum[:])
	for name, way := range map[string]func(dir string) (string, stdio.Artifact){
		"sealed memory": func(dir string) (string, stdio.Artifact) {
			return filepath.Join(dir, "app", "server"), stdio.Program{Signed: only(digest)}
		},
		"private copy": func(dir string) (string, stdio.Artifact) {
			return filepath.Join(dir, "app", "server"), stdio.Program{Signed: only(digest), PrivateCopy: true}
		},
		"tree": func(dir string) (string, stdio.Artifact) {
			sum, err := stdio.SumTree(t.Context(), filepath.Join(dir, "app"))
			must(t, err)
			return "server", stdio.Tree{Dir: filepath.Join(dir, "app"), Sum: sum}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := &swapper{filepath.Join(dir, "app", "server"), filepath.Join(dir, "good"), filepath.Join(dir, "evil")}
			write(t, s.good, string(good))
			write(t, s.evil, string(evil))
			write(t, s.path, string(good))
			path, artifact := way(dir)
			var wg sync.WaitGroup
			stop := make(chan struct{})
			wg.Go(func() {
				pace := time.NewTicker(200 * time.Microsecond)
				defer pace.Stop()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-pace.C:
						s.turn(t, i)
					}
				}
			})
			ran, refused := 0, 0
			for range rounds {
				switch word := said(t, path, artifact); word {
				case "good":
					ran++
				case "":
					refused++
				default:
					t.Errorf("%s ran", word)
				}
			}
			close(stop)
			wg.Wait()
			t.Logf("%d ran, %d were refused", ran, refused)
			_ = os.RemoveAll(filepath.Dir(s.path))
			write(t, s.path, string(good))
			if word := said(t, path, artifact); word != "good" {
				t.Errorf("the good one was refused: %q", word)
			}
			write(t, s.path, string(evil))
			if word := said(t, path, artifact); word != "" {
				t.Errorf("%s ran", word)
			}
		})
	}
}
