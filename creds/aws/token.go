package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// maxToken bounds an identity token: STS takes 20,000 characters.
const maxToken = 20000

// A tokenFileOf is the file into which something else writes a workload's identity
// token, again and again.
type tokenFileOf struct{ path, audience string }

func (f *tokenFileOf) check() error {
	switch {
	case f.path == "":
		return &fault{text: "the token file has no name"}
	case f.audience == "":
		return &fault{text: `the audience is missing: it is most often "sts.amazonaws.com"`}
	}
	return nil
}

// read reads the token anew, and refuses to send one that STS would refuse, or that is
// for somebody else. Its signature is for STS to judge.
func (f *tokenFileOf) read(now time.Time) (string, error) {
	data, err := regular.ReadFile(f.path, maxToken)
	if err != nil {
		return "", faultf("the token file: %w", err)
	}
	defer clear(data)
	return f.judge(data, now)
}

// judge returns the token in the content of the file.
func (f *tokenFileOf) judge(data []byte, now time.Time) (string, error) {
	token := string(bytes.TrimSpace(data))
	bad := func(what string) error {
		return &fault{text: "the token file " + f.path + " " + what}
	}
	if token == "" {
		return "", bad("is empty: its writer may be at work; it is read again for the next attempt")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return "", bad("holds no identity token (JWT), or half of one")
	}
	for _, p := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(p); err != nil {
			return "", bad("holds no identity token (JWT), or half of one")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // it was decoded above
	var claims map[string]json.RawMessage                      // names count exactly
	if mcpsec.CheckJSON(payload) != nil || json.Unmarshal(payload, &claims) != nil {
		return "", bad("holds no identity token (JWT), or half of one")
	}
	var exp *float64
	if json.Unmarshal(claims["exp"], &exp) != nil || exp == nil {
		return "", bad("holds a token without an end")
	}
	if end := time.Unix(int64(min(max(*exp, 0), 1<<40)), 0); !now.Before(end) {
		return "", bad("holds a token that expired at " + end.UTC().Format(time.RFC3339) + ": whoever writes the file must renew it, or the clock is wrong")
	}
	if !slices.Equal(audiences(claims["aud"]), []string{f.audience}) {
		return "", bad("holds a token for another audience than " + printable(f.audience) + ": have it issued for that one alone")
	}
	return token, nil
}

// audiences are a text or a list of them (RFC 7519 section 4.1.3).
func audiences(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var all []string
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}
