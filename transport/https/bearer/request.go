package bearer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxToken bounds an access token, in bytes.
const maxToken = 8 << 10

// errNone means that a request has no credentials of a kind that is known here.
var errNone = errors.New("no credentials")

// credentials returns what the one Authorization header of a request has (RFC 6750,
// section 2.1; RFC 9449, section 7.1). Forms, cookies and other headers are not looked at;
// a token in the query string is an error, since it is in somebody's log by now.
func credentials(r *http.Request) (scheme, token string, err error) {
	if queryHasToken(r.URL.RawQuery) {
		return "", "", errors.New("a token in the query string")
	}
	headers := r.Header["Authorization"]
	switch len(headers) {
	case 0:
		return "", "", errNone
	case 1:
	default:
		return "", "", errors.New("several Authorization headers")
	}
	scheme, token, _ = strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, schemeBearer):
		scheme = schemeBearer
	case strings.EqualFold(scheme, schemeDPoP):
		scheme = schemeDPoP
	default:
		return "", "", errNone
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case len(token) > maxToken:
		return "", "", errors.New("a token that is too long")
	case !isToken68(token):
		return "", "", errors.New("no token, or none of the allowed characters")
	}
	return scheme, token, nil
}

// isToken68 reports whether s is a b64token of RFC 6750.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !token68[s[i]] {
			return false
		}
	}
	return s != ""
}

// token68 are the characters of a b64token, without the padding.
var token68 = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		t[c] = true
	}
	return t
}()

func queryHasToken(query string) bool {
	for query != "" {
		var part string
		at := strings.IndexAny(query, "&;")
		if at < 0 {
			part, query = query, ""
		} else {
			part, query = query[:at], query[at+1:]
		}
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if strings.EqualFold(name, "access_token") {
			return true
		}
	}
	return false
}
