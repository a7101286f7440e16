package https

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Headers that speak of somebody else than the sender of the message, or for it: no
// handler may act on them or pass them on.
var (
	foreignHeader = map[string]bool{
		"Authorization": true, "Host": true, "Cookie": true, "Cookie2": true, "Dpop": true, "Forwarded": true, "Via": true,
		"X-Real-Ip": true, "Client-Ip": true, "X-Client-Ip": true, "True-Client-Ip": true, "X-Cluster-Client-Ip": true,
		"Cf-Connecting-Ip": true, "Cf-Connecting-Ipv6": true, "Fastly-Client-Ip": true, "X-Rewrite-Url": true,
		"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true, "X-Host": true,
		"X-User": true, "X-Username": true,
	}
	foreignPrefix = [...]string{
		"Proxy-", "X-Forwarded", "X-Original-", "X-Auth-", "X-Remote-", "Remote-", "X-Ssl-", "Ssl-Client", "X-Client-Cert",
		"X-Amzn-Oidc-", "X-Ms-Client-Principal", "X-Goog-Authenticated-", "X-Envoy-", "X-Arr-", "Mcpsec-",
	}
	// ownHeader are the protocol's headers; others with its prefix are nobody's.
	ownHeader = map[string]bool{"Mcp-Protocol-Version": true, "Mcp-Session-Id": true, "Mcp-Method": true, "Mcp-Name": true}
)

// mirrored reports whether a header repeats what the body says.
func mirrored(name string) bool {
	return name == "Mcp-Method" || name == "Mcp-Name" || strings.HasPrefix(name, "Mcp-Param-")
}

func foreign(name string) bool {
	if foreignHeader[name] {
		return true
	}
	switch name[0] { // of the prefixes
	case 'P', 'X', 'R', 'S', 'M':
	default:
		return false
	}
	for _, prefix := range &foreignPrefix {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// innerHeader returns the header that the server sees: no credentials, nothing that a
// proxy might have written, and of the protocol's headers those that its revision has.
func innerHeader(from http.Header, current bool) http.Header {
	to := make(http.Header, len(from)+2) // room for the session and the guard's frame
	for name, values := range from {
		switch {
		case name == "" || foreign(name):
		case mirrored(name):
			if current {
				to[name] = values
			}
		case strings.HasPrefix(name, "Mcp-"):
			if ownHeader[name] && (!current || name != "Mcp-Session-Id") {
				to[name] = values
			}
		case current && name == "Last-Event-Id":
		default:
			to[name] = values
		}
	}
	return to
}

// unrepeated returns the name of a protocol header that was sent twice: two readers could
// see two messages. Empty if there is none.
func unrepeated(h http.Header) string {
	for name, values := range h {
		if len(values) > 1 && strings.HasPrefix(name, "Mcp-") {
			return name
		}
	}
	return ""
}

const (
	encodedPrefix = "=?base64?"
	encodedSuffix = "?="
)

// plainName decodes the header of a name, which is in base64 where the name does not fit
// into a header. The SDK compares it undecoded.
func plainName(value string) (string, bool) {
	inner, ok := strings.CutPrefix(value, encodedPrefix)
	if !ok {
		return value, true
	}
	if inner, ok = strings.CutSuffix(inner, encodedSuffix); !ok {
		return value, true
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(raw), err == nil
}
