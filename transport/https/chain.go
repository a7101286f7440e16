package https

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serveHTTP is the chain, outside in: recovery, health, the request line, Host and Origin,
// and then what the path is for.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recovered()
	if r.URL.Path == healthPath || r.URL.Path == readyPath {
		s.health(w, r)
		return
	}
	if f := s.checkTarget(r); f != nil {
		s.refuse(w, r, f)
		return
	}
	path := r.URL.Path
	streamable, sse := path == s.config.Path, path == s.config.SSEPath && s.config.SSE
	metadata := path == metadataPath || strings.HasPrefix(path, metadataPath+"/")
	if (streamable || sse || metadata) && (r.Method == http.MethodOptions || len(r.Header["Origin"]) > 0) && s.cors(w, r) {
		return
	}
	switch {
	case streamable:
		s.serve(w, r, s.streamable)
	case sse:
		s.serve(w, r, s.serveSSE)
	case metadata:
		s.metadata(w, r)
	case s.config.Handler != nil:
		// The deadline of an earlier answer on this connection is not for this one.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a recorder has none
		s.config.Handler.ServeHTTP(w, r)
	default:
		s.notFound(w, r)
	}
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.astray.add(r.RemoteAddr)
	http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
}

func (s *Server) wrongMethod(w http.ResponseWriter, r *http.Request, methods ...string) {
	s.astray.add(r.RemoteAddr)
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
}

// recovered keeps the panic of a handler of the application from ending more than its
// request. The SDK's handlers are recovered by the guard.
func (s *Server) recovered() {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.log.Error("https: a panic while a request was served", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		panic(http.ErrAbortHandler) // the answer may have begun: cut it off
	}
}

// checkTarget judges the request line and the headers that say whom the request is for and
// who makes it.
func (s *Server) checkTarget(r *http.Request) *refusal {
	switch {
	case !strings.HasPrefix(r.RequestURI, "/") || strings.HasPrefix(r.RequestURI, "//") || r.URL.RawPath != "" || r.URL.Host != "":
		return refuse(http.StatusBadRequest, codeBadRequest.Deny("the target of the request is not a plain path"))
	case s.limits.URI >= 0 && len(r.RequestURI) > s.limits.URI:
		return refuse(http.StatusRequestURITooLong, codeTooLarge.Deny("the URL is too long"))
	case slices.ContainsFunc(r.Header["Host"], func(host string) bool { return host != r.Host }): // of HTTP/2, beside :authority
		return refuse(http.StatusBadRequest, codeBadRequest.Deny("the request names two hosts"))
	case !s.hosts.allow(r):
		return refuse(http.StatusForbidden, codeBadHost.Deny("the server is not called by this name")).plainly()
	case !s.origins.allow(r):
		return refuse(http.StatusForbidden, codeBadOrigin.Deny("this origin may not call")).plainly()
	}
	return nil
}

// credentialParameters are names under which clients have put credentials into URLs.
var credentialParameters = map[string]bool{
	"access_token": true, "accesstoken": true, "token": true, "bearer": true, "bearer_token": true, "id_token": true,
	"refresh_token": true, "authorization": true, "auth": true, "auth_token": true, "jwt": true, "api_key": true,
	"apikey": true, "api-key": true, "key": true, "secret": true, "client_secret": true, "password": true, "assertion": true,
}

// checkQuery refuses a URL that holds a credential.
func checkQuery(r *http.Request) *refusal {
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, codeBadRequest.Deny("the query of the URL is malformed"))
	}
	for name := range query {
		if credentialParameters[strings.ToLower(name)] {
			f := refuse(http.StatusBadRequest, codeQueryToken.Deny("credentials do not belong into a URL"))
			f.auth = &AuthError{Status: http.StatusBadRequest, Scheme: "Bearer", Code: "invalid_request", Description: "credentials do not belong into a URL"}
			return f
		}
	}
	return nil
}

// serve takes a request of the protocol to its endpoint: well-formed, while the server is
// not shutting down, and under a principal.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, endpoint func(http.ResponseWriter, *http.Request, *caller) *refusal) {
	f := s.checkRequest(r)
	if f != nil {
		s.refuse(w, r, f)
		return
	}
	if methods := s.methods(r.URL.Path); !slices.Contains(methods, r.Method) {
		s.wrongMethod(w, r, methods...)
		return
	}
	c, r, f := s.authenticate(r)
	if f == nil {
		f = endpoint(w, r, c)
	}
	if f != nil {
		s.refuse(w, r, f)
	}
}

var (
	methodsEarlier = []string{http.MethodGet, http.MethodPost, http.MethodDelete}
	methodsCurrent = []string{http.MethodPost}
	methodsSSE     = []string{http.MethodGet, http.MethodPost}
	methodsRead    = []string{http.MethodGet, http.MethodHead}
)

// methods lists the methods of an endpoint.
func (s *Server) methods(path string) []string {
	switch {
	case path == s.config.Path && s.config.Legacy:
		return methodsEarlier
	case path == s.config.Path:
		return methodsCurrent
	case path == s.config.SSEPath && s.config.SSE:
		return methodsSSE
	default:
		return methodsRead
	}
}

func (s *Server) checkRequest(r *http.Request) *refusal {
	if f := checkQuery(r); f != nil {
		return f
	}
	if s.draining.Load() {
		return refuse(http.StatusServiceUnavailable, codeUnavailable.Deny("the server is shutting down").After(time.Second))
	}
	if name := unrepeated(r.Header); name != "" {
		return refuse(http.StatusBadRequest, codeBadRequest.Deny("the header "+name+" is repeated"))
	}
	if r.Method != http.MethodPost {
		return nil
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return refuse(http.StatusUnsupportedMediaType, codeBadRequest.Deny("encoded bodies are not accepted"))
	}
	if types := r.Header["Content-Type"]; len(types) != 1 || !isJSON(types[0]) {
		return refuse(http.StatusUnsupportedMediaType, codeBadRequest.Deny("the content type is not application/json"))
	}
	if s.limits.Body >= 0 && r.ContentLength > s.limits.Body {
		return tooLong(s.limits.Body)
	}
	return nil
}

func tooLong(limit int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, codeTooLarge.Deny("the message is larger than "+strconv.FormatInt(limit, 10)+" bytes"))
}

// isJSON reports whether a content type is that of JSON, in the one encoding it has.
func isJSON(value string) bool {
	if value == "application/json" {
		return true
	}
	kind, rest, has := strings.Cut(value, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return false
	}
	rest = strings.ToLower(strings.TrimSpace(rest))
	return !has || rest == "charset=utf-8" || rest == `charset="utf-8"`
}
