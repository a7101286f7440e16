package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Bounds of the headers of a request and of an answer.
const (
	maxRequestHeader = 64 << 10
	maxAnswerHeader  = 256 << 10
)

// A route is where a request goes, in its context.
type route struct {
	via   Via
	to    endpoint
	grant grant
	from  *client
}

type (
	clientKey struct{}
	routeKey  struct{}
)

// newHTTP makes the server that reads HTTP: what is sent to the proxy, and plain HTTP to
// listed hosts.
func newHTTP(s *Server) *http.Server {
	silent := log.New(io.Discard, "", 0) // what matters becomes an event
	forward := &httputil.ReverseProxy{
		ErrorLog:      silent,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := r.In.Context().Value(routeKey{}).(*route)
			r.Out.URL.Scheme, r.Out.URL.Host = "http", to.to.String()
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Header.Del("Expect") // the server that reads the body has answered it
			r.Out.Host = strings.TrimSuffix(to.to.String(), ":80")
		},
		Transport: &http.Transport{
			DialContext:            s.dialRoute,
			DisableKeepAlives:      true, // each request is resolved, checked and counted
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswerHeader,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			d := mcpsec.AsDenial(err)
			if d == nil {
				d = codeUnreachable.Deny("the host did not answer as HTTP asks")
			}
			deny(w, d)
		},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.request(w, r, forward) }),
		ReadHeaderTimeout: s.Limits.Handshake,
		IdleTimeout:       s.Limits.Idle,
		MaxHeaderBytes:    maxRequestHeader,
		Protocols:         protocols,

		DisableGeneralOptionsHandler: true,

		ErrorLog: silent,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, c)
		},
		ConnState: s.watchRequests,
	}
}

// watchRequests records requests that the server refused by itself: those that cannot be
// read in one way only.
func (s *Server) watchRequests(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*client)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.reading.Store(true)
	case http.StateClosed:
		if c.reading.Swap(false) {
			s.note(c.via, c.to, codeMalformed.Deny("a request that is no valid HTTP, or not finished in time"))
		}
		s.finish()
	case http.StateHijacked:
		s.finish()
	case http.StateNew, http.StateIdle:
	}
}

func (s *Server) request(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	c, ok := r.Context().Value(clientKey{}).(*client)
	if !ok || !s.begin() {
		return
	}
	defer s.finish()
	c.reading.Store(false)
	if c.to == (endpoint{}) && r.Method == http.MethodConnect {
		s.connect(w, r, c)
		return
	}
	to := &route{from: c}
	var d *mcpsec.Denial
	if c.to == (endpoint{}) {
		d = s.absolute(r, to)
	} else {
		d = inner(r, to)
	}
	if d != nil {
		deny(w, s.refuse(to.via, to.to, d))
		return
	}
	if r.Header.Get("Upgrade") != "" && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		r.Header.Del("Upgrade") // to HTTP/2: its requests could name other hosts
	}
	forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, to)))
}

// absolute reads the target of a request for plain HTTP that was sent to the proxy.
func (s *Server) absolute(r *http.Request, to *route) *mcpsec.Denial {
	to.via = ViaHTTP
	if r.ProtoMajor != 1 || r.URL.Scheme != "http" {
		return codeProtocol.Deny("the proxy takes CONNECT, and requests for http:// URLs")
	}
	if r.URL.User != nil || r.URL.Opaque != "" {
		return codeMalformed.Deny("the URL has user information, or no host")
	}
	e, err := parseEndpoint(r.URL.Host, 80)
	if err != nil {
		return codeMalformed.Deny("the host of the URL cannot be read: " + err.Error())
	}
	to.to = s.meant(e)
	var d *mcpsec.Denial
	if to.grant, d = s.allow(to.to); d != nil {
		return d
	}
	if to.to.port == 443 && !to.grant.raw {
		return codeProtocol.Deny("only TLS is spoken on port 443")
	}
	return nil
}

// inner looks at a request on a connection to a listed host: it must name that host.
func inner(r *http.Request, to *route) *mcpsec.Denial {
	c := to.from
	to.via, to.to, to.grant = c.via, c.to, c.grant
	if r.ProtoMajor != 1 || r.Method == http.MethodConnect || r.URL.Scheme != "" && r.URL.Scheme != "http" || r.URL.User != nil {
		return codeProtocol.Deny("a request to the host itself was expected, in HTTP/1")
	}
	if named, err := parseEndpoint(r.Host, to.to.port); err != nil || named != to.to {
		return codeName.Deny("the request's Host is not " + to.to.String()).
			Because(errors.New("Host " + quote(r.Host)))
	}
	return nil
}

// dialRoute connects to where a request goes.
func (s *Server) dialRoute(ctx context.Context, _, _ string) (net.Conn, error) {
	to, ok := ctx.Value(routeKey{}).(*route)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	up := to.from.spare.Swap(nil)
	if up == nil {
		var d *mcpsec.Denial
		if up, d = s.opener.open(ctx, to.via, to.to, to.grant, nil); d != nil {
			return nil, d
		}
	}
	up.with(to.from)
	return up, nil
}

// connect serves HTTP CONNECT (RFC 9110 section 9.3.6).
func (s *Server) connect(w http.ResponseWriter, r *http.Request, c *client) {
	e, err := parseEndpoint(r.RequestURI, 0)
	if err != nil || r.ProtoMajor != 1 {
		d := codeMalformed.Deny("the target of CONNECT is not host:port")
		deny(w, s.refuse(ViaConnect, endpoint{}, d.Because(err)))
		return
	}
	up, d := s.reach(r.Context(), c, ViaConnect, e)
	if d != nil {
		deny(w, d)
		return
	}
	_, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = up.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	c.ahead, _ = buffered.Peek(buffered.Reader.Buffered())
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = up.Close()
		_ = c.Close()
		return
	}
	s.relay(c, up) //nolint:contextcheck // a tunnel ends with the server, not with the request
}

// reach connects to what a program asked the proxy for, and notes it in c. Refusals are
// recorded.
func (s *Server) reach(ctx context.Context, c *client, via Via, to endpoint) (*conn, *mcpsec.Denial) {
	to = s.meant(to)
	g, d := s.allow(to)
	if d != nil {
		return nil, s.refuse(via, to, d)
	}
	up, d := s.opener.open(ctx, via, to, g, nil)
	if d == nil {
		c.via, c.to, c.grant = via, to, g
	}
	return up, d
}

// advice follows every refusal that a model may read.
const advice = "This is a policy of the host, not a failure: do not retry, and do not try another address, port, protocol or route."

// status returns the code and text of an answer.
func status(d *mcpsec.Denial) (int, string) {
	text := fmt.Sprintf("egress refused: %s\n", d.Error())
	switch d.Code {
	case codeUnreachable.Name:
		return http.StatusBadGateway, text
	case codeTimeout.Name:
		return http.StatusGatewayTimeout, text
	case codeConnections.Name, codeBytes.Name:
		return http.StatusServiceUnavailable, text
	case codeMalformed.Name:
		return http.StatusBadRequest, text + advice + "\n"
	}
	return http.StatusForbidden, text + advice + "\n"
}

func deny(w http.ResponseWriter, d *mcpsec.Denial) {
	code, text := status(d)
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

// rawAnswer is an answer before there is a request.
func rawAnswer(code int, d *mcpsec.Denial) []byte {
	_, text := status(d)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
		code, http.StatusText(code), len(text), text)
}
