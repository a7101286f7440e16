package dpop

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Target returns the URL of a request in the form that [Normalize] gives. The host is what
// the client says: whoever serves has checked that it is one of its own.
func Target(r *http.Request) string {
	target, err := Normalize("https://" + r.Host + r.URL.EscapedPath())
	if err != nil {
		return "" // equals no proof's
	}
	return target
}

// Normalize writes an https URL without query and fragment, as RFC 9449, section 4.3, has
// it compared: by RFC 3986, section 6.2.2 and 6.2.3.
func Normalize(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", errors.New("not an https URL")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if !strings.Contains(path, "%") {
		return "https://" + host + path, nil
	}
	return "https://" + host + unreserved(path), nil
}

// unreserved decodes the percent-encodings of characters that need none, and writes the
// others in upper case.
func unreserved(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		i += 2
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}
