package redact

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// forms are the ways in which a program may print a secret it was given.
func forms(secret string) map[string]string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err)
	}
	b := []byte(secret)
	all := map[string]string{
		"raw": secret, "JSON": string(quoted), "Go": strconv.Quote(secret), "Go ASCII": strconv.QuoteToASCII(secret), "%q of bytes": fmt.Sprintf("%q", b),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "userinfo": url.UserPassword("u", secret).String(), "query, lower case": strings.ToLower(url.QueryEscape("\x00")) + url.QueryEscape(secret),
		"hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)), "%x in a text": fmt.Sprintf("00%x00", b),
		"base64": base64.StdEncoding.EncodeToString(b), "base64 raw": base64.RawStdEncoding.EncodeToString(b), "base64 URL": base64.URLEncoding.EncodeToString(b),
		"all escaped": func() string {
			var s strings.Builder
			for _, c := range b {
				fmt.Fprintf(&s, "%%%02x", c)
			}
			return s.String()
		}(),
	}
	var units strings.Builder // as JSON encoders of other languages escape everything
	for _, u := range utf16.Encode([]rune(secret)) {
		fmt.Fprintf(&units, `\u%04X`, u)
	}
	all["JSON units"] = units.String()
	for n := range 6 {
		user := strings.Repeat("u", n) + ":" // the secret at every offset in a group of three
		all["basic"+strconv.Itoa(n)] = base64.StdEncoding.EncodeToString([]byte(user + secret + user))
		all["basic URL"+strconv.Itoa(n)] = base64.RawURLEncoding.EncodeToString([]byte(user + secret + user))
	}
	return all
}

var canaries = []string{
	"hunter2hunter2", "12345678", "p@ss w+rd/?&=%<>", "quote\"back\\slash'", "new\nline\ttab\r", "pässwörd✓😀", "aaaaaaaa", "aaaaaaaab", "%41%42%43%44", `\n\n\n\n\n`, "++++++++", "        x8        x",
	"\x00\x01\x02\x03\xff\xfe\xfd\xfc", "\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe", strings.Repeat("long secret ", 40), "exactly-32-bytes-of-a-secret-key", "exactly-33-bytes-of-a-secret-key!",
	"[secret:x]", "-----BEGIN " + "PRIVATE KEY-----\nMIIE+/AB\n-----END PRIVATE KEY-----\n",
}

// A canary that the process holds does not survive in any form, and neither does a
// part of it that would be of use.
func TestHeldSecretsInEveryForm(t *testing.T) {
	t.Parallel()
	for _, secret := range canaries {
		alone := policy(t, Config{Held: holding("another secret", secret)})
		last := policy(t, Config{Held: func(yield func([]byte) bool) {
			many(2 * few)(func(other []byte) bool { return yield(other) })
			yield([]byte(secret))
		}})
		for name, form := range forms(secret) {
			if strings.HasPrefix(name, "JSON") && !utf8.ValidString(secret) {
				continue // the form does not have the secret in it any more
			}
			for _, around := range [][2]string{{"", ""}, {"error: ", " is not valid"}, {`{"a":"`, `"}`}, {"é", "é"}, {"a", "a"}, {"=", "="}} {
				if name[0] == 'b' || name[0] == 'h' || name[0] == 'H' { // letters would change the encoding
					around[0], around[1] = strings.Trim(around[0], "a="), strings.Trim(around[1], "a=")
				}
				in := around[0] + form + around[1]
				for _, p := range []*Policy{alone, last} {
					got, hit := p.Text(in)
					if !hit || strings.Contains(got, form) || reveals(got, secret) {
						t.Errorf("%q, %s: %q became %q", secret, name, in, got)
					}
				}
			}
		}
	}
}

// reveals reports whether what is left still shows the secret when it is decoded.
func reveals(text, secret string) bool {
	if strings.Contains(text, secret) {
		return true
	}
	if s, err := url.QueryUnescape(text); err == nil && strings.Contains(s, secret) {
		return true
	}
	var s string
	return json.Unmarshal([]byte(`"`+text+`"`), &s) == nil && strings.Contains(s, secret)
}

func TestHeldSecretsThatAreNotLookedFor(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Held: holding("", "short", "1234567", "       7letter ", "\n\t  \n    \t\t\t\t")})
	for _, text := range []string{"short", "1234567", "7letter", "       7letter ", "\n\t  \n    \t\t\t\t", "", "x"} {
		if got, hit := p.Text(text); hit {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestHeldSecretsInPart(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("0123456789abcdef", 8)
	p := policy(t, Config{Held: holding(secret + "\n")})
	for in, want := range map[string]string{
		"cut: " + secret[:40]:                         "cut: [secret:held]", // a longer secret is known by its first 32 bytes
		"cut: " + secret[:31]:                         "cut: " + secret[:31],
		"twice: " + secret + secret:                   "twice: [secret:held][secret:held]",
		"two " + secret + " and " + secret[:33] + "!": "two [secret:held] and [secret:held]!",
	} {
		if got, _ := p.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A held secret inside another one does not divide it.
func TestHeldInsideAnother(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Held: holding("MIDDLE-OF-IT", "hunter2hunter2")})
	for in, want := range map[string]string{
		"-----BEGIN " + "PRIVATE KEY-----\nAAAA\nMIDDLE-OF-IT\nBBBB\n-----END PRIVATE KEY-----": "[secret:private-key]",
		"https://user:hunter2hunter2@host":          "https://[secret:userinfo]@host",
		"x hunter2hunter2sk-" + letters:             "x [secret:held][secret:openai]",
		"hunter2hunter2=1, password=hunter2hunter2": "[secret:held]=1, password=[secret:held]",
	} {
		if got, _ := p.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// A secret of bytes may begin and end within characters of a text.
func TestHeldBytesWithinCharacters(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Held: holding("\xa9ééé\xc3")})
	if got, _ := p.Text("aéééééb"); got != "a[secret:held]b" {
		t.Errorf("got %q", got)
	}
}

// What Held yields is not kept, and every text asks anew.
func TestHeldIsNotKept(t *testing.T) {
	t.Parallel()
	buffer := []byte("hunter2hunter2")
	calls := 0
	p := policy(t, Config{Held: func(yield func([]byte) bool) {
		calls++
		if !yield(buffer) {
			t.Error("the search stopped early")
		}
	}})
	if got, _ := p.Text("hunter2hunter2"); got != "[secret:held]" {
		t.Errorf("got %q", got)
	}
	copy(buffer, "HUNTER3HUNTER3") // rotated
	for in, want := range map[string]string{"hunter2hunter2": "hunter2hunter2", "HUNTER3HUNTER3": "[secret:held]"} {
		if got, _ := p.Text(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	if calls != 3 {
		t.Errorf("asked %d times for 3 texts", calls)
	}
}

// However many secrets are held, one that is in a text is found, and the others cost
// next to nothing.
func TestHeldAmongMany(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Held: many(8192)})
	for _, n := range []int{0, 4711, 8191} {
		for name, form := range forms(manySecret(n)) {
			if got, hit := p.Text("error: " + form); !hit || strings.Contains(got, form) {
				t.Errorf("%d, %s: %q", n, name, got)
			}
		}
	}
	if got, hit := p.Text(clean); hit {
		t.Errorf("became %q", got)
	}
}

func manySecret(n int) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(n)))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func many(n int) func(func([]byte) bool) {
	all := make([][]byte, n)
	for i := range all {
		all[i] = []byte(manySecret(i))
	}
	return func(yield func([]byte) bool) {
		for _, secret := range all {
			if !yield(secret) {
				return
			}
		}
	}
}

func BenchmarkHeldMany(b *testing.B) {
	for _, n := range []int{1, 100, 8192} {
		p := policy(b, Config{Held: many(n)})
		for name, text := range map[string]string{"200B": strings.Repeat(clean, 2), "4K": strings.Repeat(clean, 40), "escapes": strings.Repeat(clean, 2) + "100% \\n"} {
			b.Run(name+"/"+strconv.Itoa(n), func(b *testing.B) {
				for b.Loop() {
					p.heldIn(text, nil)
				}
			})
		}
	}
}
