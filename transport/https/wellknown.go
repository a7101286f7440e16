package https

import (
	"net/http"
	"strings"
)

const (
	healthPath   = "/healthz"
	readyPath    = "/readyz"
	metadataPath = "/.well-known/oauth-protected-resource"
)

// health answers whether the process serves, and whether new work should come here. It
// says nothing else, so that it needs neither name nor credentials.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	w.Header()["Cache-Control"] = headerNoStore
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.wrongMethod(w, r, methodsRead...)
	case r.URL.Path == readyPath && s.leaving.Load():
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // the client may have left
	}
}

// resource returns the URL of an endpoint by the name that the client used, which has
// been checked.
func (s *Server) resource(r *http.Request, path string) string {
	return "https://" + plainHost(r.Host) + path
}

// metadataURL returns where the metadata of the endpoint of a request is; empty without
// tokens.
func (s *Server) metadataURL(r *http.Request) string {
	if s.config.Tokens == nil {
		return ""
	}
	return s.resource(r, metadataPath+r.URL.Path)
}

// metadata serves the protected resource metadata (RFC 9728), one document for each
// endpoint and, at the root, that of Streamable HTTP.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, metadataPath)
	switch {
	case path == "" || path == s.config.Path:
		path = s.config.Path
	case path != s.config.SSEPath || !s.config.SSE:
		s.notFound(w, r)
		return
	}
	if s.config.Tokens == nil {
		s.notFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.wrongMethod(w, r, methodsRead...)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h["X-Content-Type-Options"] = headerNosniff
	_, _ = w.Write(s.config.Tokens.Metadata(s.resource(r, path)))
}
