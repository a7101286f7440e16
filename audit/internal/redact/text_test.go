package redact

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// Texts put together of whole, cut and touching secrets are blanked once and for all:
// nothing is left that a second look would find.
func TestTextIsStable(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"AKIA", "IOSFODNN7EXAMPLE", "ghp_", letters, "npm_", "hf_", "sk-", "sk-ant-", "SG.", ".", "eyJ", header, "dop_v1_", hexes, "SK", "hvs.", "glpat-", "xoxb-", "://", ":", "@", "/", `:\/\/`, "u", "p",
		"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----", "bearer ", "bearer =:", "cookie:token=:", "Basic ", "dTpwYXNz", "password", "=", ": ", `"`, `\"`, "'", "token", "max_tokens", " ", "\n", `\n`, "%3D", "<secret>", "</secret>",
		"secret access key ", amazon, "sig=", "AccountKey=", "hooks.slack.com", "[secret:held]", "[secret:", "]", "hunter2hunter2", "hunter2", "aHVudGVyMmh1bnRlcjI", "cookie: ", "é", "😀", ";", ",", "0", "_", "-", "\\", "[argument]",
	}
	plain, holds := policy(t, Config{}), policy(t, Config{Held: holding("hunter2hunter2", "2hunter2hu", "é😀é😀é😀", "://u:p@u:p", "EXAMPLEAKIA", "token=token")})
	rnd := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 60_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(12) {
			piece := pieces[rnd.IntN(len(pieces))]
			if rnd.IntN(6) == 0 {
				piece = piece[:rnd.IntN(len(piece)+1)]
			}
			b.WriteString(piece)
		}
		for _, p := range []*Policy{plain, holds} {
			got, hit := p.Text(b.String())
			if hit {
				hits++
			}
			if again, more := p.Text(got); more || again != got {
				t.Fatalf("%q became %q, and that %q", b.String(), got, again)
			}
			if strings.Contains(removed(got), "hunter2hunter2") && p == holds {
				t.Fatalf("%q became %q", b.String(), got)
			}
			if utf8.ValidString(b.String()) && !utf8.ValidString(got) {
				t.Fatalf("%q became %q", b.String(), got)
			}
		}
	}
	if hits < 20_000 {
		t.Errorf("only %d texts had a secret", hits)
	}
}

// hostile are texts made to have a scanner read the same bytes again and again.
func hostile(size int) map[string]string {
	texts := map[string]string{}
	for _, piece := range []string{
		"eyJ", "eyJa.", "://:@", "://", "://:", "sk-", "sk-a", "SG.", "SK0", "AKIA", "ghp_", "npm_", "-----BEGIN ", "-----BEGIN PRIVATE", "-----BEGIN x-----", "----", "bearer ", "bearer:", "basic ", "basic dTp", "basic dGVz", "a=", "a=a", "a:", "=", ":", "password",
		"password:", "password: ", "password=", "password=\"", "password=\\", "secret", "secret access key", "secret access key ", "xox", "xoxb-", "hooks.slack.com", "sig=", "hvs.", "dop_v1_", "hf_", "age-secret-key-1", "\\", "\\u", "%", "%2", "+", "[secret:", "[secret:held]", "\"", "'", "<", ">", "a>", "<a>", " ", "a", "a.", "token: 'x", "0123456789abcdef", "cookie: ", "é", "aaaaaaa%61",
	} {
		texts[piece] = strings.Repeat(piece, size/len(piece))
	}
	return texts
}

func TestGrowthIsBounded(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Held: holding("aaaaaaaa")})
	for piece, text := range hostile(8 << 10) {
		if got, _ := p.Text(text); len(got) > 6*len(text) {
			t.Errorf("%q: %d bytes became %d", piece, len(text), len(got))
		}
	}
}

func TestPolicyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"*": {"/*"}}, Held: holding("hunter2hunter2")})
	schemas := []any{true, map[string]any{"properties": map[string]any{"b": map[string]any{"writeOnly": true}}}}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				if got, _ := p.Text("x hunter2hunter2 ghp_" + letters); got != "x [secret:held] [secret:github]" {
					t.Errorf("got %q", got)
				}
				shown, redacted, _ := p.Arguments(string(rune('a'+n%3)), schemas[i%2], []byte(`{"a":1,"b":2}`))
				if len(shown) != 2-i%2 || len(redacted) != i%2 {
					t.Errorf("got %v %v", shown, redacted)
				}
			}
		})
	}
	wg.Wait()
}
