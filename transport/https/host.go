package https

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// hosts are the names that a server is called by, in lower case and without the port 443.
// Empty: the loopback names at the port of the listener.
type hosts map[string]bool

func newHosts(names []string) (hosts, error) {
	h := make(hosts, len(names))
	for _, name := range names {
		u, err := url.Parse("https://" + name)
		if err != nil || name == "" || u.Host != name || u.Hostname() == "" || strings.HasSuffix(u.Hostname(), ".") || u.User != nil {
			return nil, fmt.Errorf("Config.Hosts: %q is no host name with or without a port", name)
		}
		h[plainHost(name)] = true
	}
	return h, nil
}

func plainHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ":443")
}

var loopback = [...]string{"localhost", "127.0.0.1", "[::1]"}

// allow reports whether a request names a host of the server.
func (h hosts) allow(r *http.Request) bool {
	if h[r.Host] { // as most clients write it
		return true
	}
	host := plainHost(r.Host)
	if len(h) > 0 {
		return h[host]
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	_, port, err := net.SplitHostPort(local.String())
	if err != nil {
		return false
	}
	name, suffix := host, "443"
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, suffix = host[:i], host[i+1:]
	}
	return suffix == port && slices.Contains(loopback[:], name)
}

// origins are the web origins whose pages may call.
type origins map[string]bool

func newOrigins(names []string) (origins, error) {
	o := make(origins, len(names))
	for _, name := range names {
		u, err := url.Parse(name)
		if err != nil || u.Scheme == "" || u.Host == "" || name != u.Scheme+"://"+u.Host || name != strings.ToLower(name) {
			return nil, fmt.Errorf("Config.Origins: %q is no origin in lower case, such as https://app.example.com", name)
		}
		o[name] = true
	}
	return o, nil
}

// allow reports whether the origin of a request, if it has one, may call.
func (o origins) allow(r *http.Request) bool {
	switch values := r.Header["Origin"]; len(values) {
	case 0:
		return true
	case 1:
		return o[values[0]] // "null" is never among them
	default:
		return false
	}
}

// corsHeaders are those a page may send, besides Mcp-Param-*.
const corsHeaders = "Authorization, Content-Type, Accept, DPoP, Mcp-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID"

// cors tells a browser what the page of an allowed origin may do. It reports whether that
// was all the browser asked.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	origin := r.Header.Get("Origin")
	methods := strings.Join(s.methods(r.URL.Path), ", ")
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, DPoP-Nonce, Retry-After")
		h.Add("Vary", "Origin")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if origin != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", methods)
		allowed := []string{corsHeaders}
		for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
			name = strings.TrimSpace(name)
			if len(name) < 64 && strings.HasPrefix(strings.ToLower(name), "mcp-param-") && isToken(name) {
				allowed = append(allowed, name)
			}
		}
		h.Set("Access-Control-Allow-Headers", strings.Join(allowed, ", "))
		h.Set("Access-Control-Max-Age", "600")
	} else {
		h.Set("Allow", methods+", OPTIONS")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// isToken reports whether a header may have this name (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}
