package vault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// refusals are what Vault says and what it means, the more telling ones first.
var refusals = [...]struct{ text, code string }{
	{"is sealed", "sealed"},
	{"lease is not renewable", "lease_not_renewable"},
	{"lease expired", "lease_expired"},
	{"lease not found", "lease_not_found"},
	{"invalid lease", "lease_not_found"},
	{"invalid role or secret", "invalid_role_or_secret_id"},
	{"invalid secret id", "invalid_role_or_secret_id"},
	{"invalid role id", "invalid_role_or_secret_id"},
	{"missing client token", "missing_token"},
	{"invalid token", "invalid_token"},
	{"no handler for route", "no_such_mount"},
	{"unsupported path", "no_such_path"},
	{"namespace not", "bad_namespace"},
	{"permission denied", "permission_denied"},
}

// refusal finds a known word in the errors of an answer.
func refusal(body []byte) string {
	var answer struct {
		Errors []string `json:"errors"`
	}
	if rest.Decode(body, &answer) != nil || len(answer.Errors) > 16 {
		return ""
	}
	for _, known := range refusals {
		for _, text := range answer.Errors {
			if strings.Contains(strings.ToLower(text), known.text) {
				return known.code
			}
		}
	}
	return ""
}

// A loginError is the error of a login, and names its own remedy.
type loginError struct{ error }

func (e loginError) Unwrap() error { return e.error }

// explain adds to an error what to do about it.
func explain(what string, err error) error {
	remedy := ""
	_, login := errors.AsType[loginError](err)
	switch e, _ := errors.AsType[*rest.Error](err); {
	case e == nil || login:
	case e.Code == "sealed" || e.Status == http.StatusServiceUnavailable:
		remedy = ": Vault is sealed or not ready: unseal it"
	case e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusPermanentRedirect:
		remedy = ": the node redirects to an address that is not configured: add the active node to Config.Addresses"
	case e.Status == http.StatusForbidden:
		remedy = ": the policies of the login must allow this path"
	case e.Status == http.StatusNotFound:
		remedy = ": nothing is there, or its version was deleted"
	}
	return fmt.Errorf("vault: %s: %w%s", what, err, remedy)
}

// explainLogin adds to the error of a login what to do about it. Vault refuses a token
// or a proof that it does not know as it refuses a path.
func explainLogin(a Auth, err error) error {
	what := "login by " + a.describe()
	if rest.Status(err) == http.StatusForbidden {
		return loginError{fmt.Errorf("vault: %s: %w: the token, or the proof shown for it, is unknown, revoked or expired, or its role or namespace does not take it", what, err)}
	}
	return loginError{explain(what, err)}
}

// checkPath refuses what is no plain path below a mount.
func checkPath(what, path string) error {
	if path == "" || len(path) > 512 {
		return fmt.Errorf("%s has %d characters: give 1 to 512", what, len(path))
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%s %q is not a plain path: no slash at the ends, no empty or dotted parts", what, path)
		}
	}
	for _, c := range path {
		if c <= ' ' || c > '~' || strings.ContainsRune(`\?#%*+"`, c) {
			return fmt.Errorf("%s %q has characters that are no part of a plain path", what, path)
		}
	}
	return nil
}
