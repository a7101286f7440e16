// Package fakeaws answers as AWS does, on the loopback, in tests. It checks each
// signature by signing the request again with the signer of the SDK, holds to the
// published limits of each API, refuses with the errors of that API, keeps what it
// took, and fails when it is told to ([Server.Inject]).
//
// An API is one [Service] in one file. What it does not do, no test may conclude
// from: it knows IAM policies only in [S3], no throughput limits, and no quotas.
package fakeaws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Account and Region are those of every resource.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

// Keys are the credentials that every server knows. All three are made up, and of the
// shape that leak detectors look for.
var Keys = aws.Credentials{ //nolint:gosec // made up
	AccessKeyID:     "ASIAQ3EGFAKEFAKEFAKE",
	SecretAccessKey: "fake/SECRETkey+0123456789abcdefghijklmno",
	SessionToken:    "FwoGZXIvYXdzEFAKEsessionTOKEN0123456789==",
}

// A Service is one API of AWS. Serve is called for one request at a time.
type Service interface {
	// SigningName is the service's name in the scope of a signature.
	SigningName() string
	// Target is the part of the X-Amz-Target header before the dot, for an API of
	// the JSON 1.1 protocol; with a slash in front it is the path of a REST
	// operation that bears the operation's name, or "/" for the rest.
	Target() string
	// Serve returns the answer, which is written as JSON unless it is a Raw, or an
	// error, which should be an *Error.
	Serve(r *Request) (any, error)
}

// A Router is a Service whose requests are told apart by something else than their
// target. It is asked before the targets are.
type Router interface {
	Service
	// Route returns the operation that a request is for, if it is one of the service.
	Route(r *http.Request, body []byte) (operation string, ok bool)
	// Anonymous reports whether requests for the operation need no signature.
	Anonymous(operation string) bool
	// WriteError answers with a refusal in the protocol of the service.
	WriteError(w http.ResponseWriter, e *Error)
}

// An issuer is a Service that issues keys, which the server then trusts.
type issuer interface{ issueFor(s *Server) }

// A Request is one that was signed as it should be, or that needs no signature.
type Request struct {
	Operation string
	Method    string
	Path      string
	Body      []byte
	Query     url.Values
	Header    http.Header
	Keys      aws.Credentials // that signed it
	Now       time.Time       // by the server's clock

	partial func(i int) string
}

// Decode reads the body. Members that the API does not have are an error.
func (r *Request) Decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Errorf("SerializationException", "%v", err)
	}
	return nil
}

// Refused is the code with which the test wants entry i of the request refused
// (see [Partial]), or empty.
func (r *Request) Refused(i int) string {
	if r.partial == nil {
		return ""
	}
	return r.partial(i)
}

// A Raw is an answer that is not JSON.
type Raw struct {
	ContentType string
	Body        []byte
}

// A Server is the endpoint of all the services it was made with.
type Server struct {
	URL string

	services map[string]Service // by target
	routers  []Router
	serving  sync.Mutex

	mu     sync.Mutex
	now    func() time.Time
	keys   map[string]aws.Credentials // by access key id
	faults map[string][]Fault         // by operation
	count  map[string]int             // requests by operation, whatever became of them
	done   chan struct{}
}

// New starts a server that lives as long as the test.
func New(tb testing.TB, services ...Service) *Server {
	tb.Helper()
	s := &Server{
		services: make(map[string]Service), now: time.Now, keys: map[string]aws.Credentials{Keys.AccessKeyID: Keys},
		faults: make(map[string][]Fault), count: make(map[string]int), done: make(chan struct{}),
	}
	for _, service := range services {
		if r, ok := service.(Router); ok {
			s.routers = append(s.routers, r)
		} else {
			s.services[service.Target()] = service
		}
		if i, ok := service.(issuer); ok {
			i.issueFor(s)
		}
	}
	ts := httptest.NewServer(s)
	s.URL = ts.URL
	tb.Cleanup(func() {
		close(s.done)
		ts.CloseClientConnections()
		ts.Close()
	})
	return s
}

// Config returns the configuration of a client of this server. Its retries do not
// wait. Its connections are closed at the end of the test.
func (s *Server) Config(tb testing.TB) aws.Config {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return aws.Config{
		Region: Region, BaseEndpoint: &s.URL, HTTPClient: &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(static),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// SetClock replaces the server's clock: the one that signatures are judged by, and
// that its answers bear the time of.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Trust makes the server know further credentials, until they expire. A service that
// issues some calls it.
func (s *Server) Trust(keys aws.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[keys.AccessKeyID] = keys
}

// Inject makes the next requests for an operation fail, each in the way of one
// fault, in this order. The name "" stands for any operation.
func (s *Server) Inject(operation string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operation] = append(s.faults[operation], faults...)
}

// Requests is how many requests for an operation have come, good and bad.
func (s *Server) Requests(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[operation]
}

const requestID = "X-Amzn-Requestid"

// maxBody bounds a request. The largest that an API takes is 10 MiB before base64.
const maxBody = 32 << 20

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation := s.services[r.URL.Path], strings.TrimPrefix(r.URL.Path, "/")
	if target, name, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		service, operation = s.services[target], name
	} else if router, name := s.route(r); router != nil {
		service, operation = router, name
		r = r.WithContext(context.WithValue(r.Context(), routerKey{}, router))
	}
	s.mu.Lock()
	now := s.now()
	s.count[operation]++
	var fault Fault
	for _, name := range []string{operation, ""} {
		if fault == nil && len(s.faults[name]) > 0 {
			fault, s.faults[name] = s.faults[name][0], s.faults[name][1:]
		}
	}
	s.mu.Unlock()

	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set(requestID, rand.Text())
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, service, operation, now)
	})
	if fault != nil {
		next = fault(s, next)
	}
	next.ServeHTTP(w, r)
}

type routerKey struct{}

// route finds the service of a request without a target. The body is there to be read
// again.
func (s *Server) route(r *http.Request) (Router, string) {
	if len(s.routers) == 0 {
		return nil, ""
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, ""
	}
	for _, router := range s.routers {
		if operation, ok := router.Route(r, body); ok {
			return router, operation
		}
	}
	return nil, ""
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, service Service, operation string, now time.Time) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeError(w, r, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "Request body is too large"})
		return
	}
	if service == nil {
		writeError(w, r, Errorf("UnknownOperationException", "no such operation"))
		return
	}
	var keys aws.Credentials
	if router, ok := service.(Router); !ok || !router.Anonymous(operation) {
		var refusal *Error
		if keys, refusal = s.verify(r, body, service.SigningName(), now); refusal != nil {
			writeError(w, r, refusal)
			return
		}
	}
	req := &Request{
		Operation: operation, Method: r.Method, Path: r.URL.Path, Body: body, Query: r.URL.Query(), Header: r.Header, Keys: keys, Now: now,
	}
	req.partial, _ = r.Context().Value(partialKey{}).(func(int) string)
	s.serving.Lock()
	out, err := service.Serve(req)
	s.serving.Unlock()
	if err != nil {
		known, ok := errors.AsType[*Error](err)
		if !ok {
			known = &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: err.Error()}
		}
		writeError(w, r, known)
		return
	}
	if raw, ok := out.(Raw); ok {
		write(w, http.StatusOK, raw.ContentType, raw.Body)
		return
	}
	text, err := json.Marshal(out)
	if err != nil {
		writeError(w, r, &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: err.Error()})
		return
	}
	write(w, http.StatusOK, "application/x-amz-json-1.1", text)
}
