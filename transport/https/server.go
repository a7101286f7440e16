package https

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Server serves MCP to callers that it knows. Make one with [New]; all methods are safe
// for concurrent use.
type Server struct {
	config  Config
	limits  Limits
	log     *slog.Logger
	now     func() time.Time
	gate    *gate
	hosts   hosts
	origins origins

	streams *stream.Registry
	changes atomic.Uint64 // of certificates, authorities, keys and revocations
	frozen  freezer
	dropped tally // connections
	astray  tally // requests for what is not served

	stateless http.Handler // the guard's frame around the SDK, for the current revision
	stateful  http.Handler // likewise, for revisions with sessions
	bare      http.Handler // stateful without the guard, to end sessions
	sessions  sync.Map     // id -> *session
	events    sync.Map     // id -> *eventSession

	leaving  atomic.Bool // not ready
	draining atomic.Bool // and takes no requests
	start    sync.Once
	wake     chan struct{}
	ctx      context.Context //nolint:containedctx // of what runs in the background until Shutdown
	stop     context.CancelFunc
	patience patience      // of its end
	busy     chan struct{} // bounds the tasks of later

	mu      sync.Mutex
	running int           // in the background
	idle    chan struct{} // closed when that is none; nil if nobody waits
	servers map[*serving]struct{}
}

// New makes a server of a configuration. It reports all faults at once.
func New(c Config) (*Server, error) {
	s := &Server{
		config: c, limits: c.Limits.withDefaults(), log: c.Log, now: time.Now,
		patience: patience{goodbye: grace, words: time.Second / 2, wait: 2 * time.Second},
		wake:     make(chan struct{}, 1), busy: make(chan struct{}, maxTasks), servers: make(map[*serving]struct{}),
		dropped: tally{what: "connections beyond Limits.Conns or Limits.ConnsPer were reset"},
		astray:  tally{what: "requests for unknown paths or with methods that are not served were refused"},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("https: %w", err)
	}
	if s.config.Certificates == nil {
		dev, err := pki.Development("")
		if err != nil {
			return nil, fmt.Errorf("https: Config.Certificates is not set, and no development certificate can be made: %w", err)
		}
		s.config.Certificates = dev
	}
	s.gate = newGate(s.config.Certificates, c.Clients, c.Peers)
	s.streams = stream.New(s.limits.registry(), func() time.Time { return s.now() })
	s.ctx, s.stop = context.WithCancel(context.Background())
	server := func(*http.Request) *mcp.Server { return c.Server }
	s.stateless = c.Guard.Handler(mcp.NewStreamableHTTPHandler(server, &mcp.StreamableHTTPOptions{
		Stateless: true, DisableLocalhostProtection: true, PropagateRequestCancellation: true, MaxRequestBodyBytes: -1,
	}))
	s.bare = mcp.NewStreamableHTTPHandler(server, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true, MaxRequestBodyBytes: -1})
	s.stateful = c.Guard.Handler(s.bare)
	return s, nil
}

// check fills in paths and finds the faults of a configuration.
func (s *Server) check() error {
	c := &s.config
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Server == nil, "Config.Server is not set")
	fault(c.Guard == nil, "Config.Guard is not set: make one with mcpsec.New and install it on the server")
	if c.Guard != nil && c.Server != nil {
		if err := c.Guard.InForce(c.Server); err != nil {
			faults = append(faults, fmt.Errorf("Config.Guard: %w: call Install before New", err))
		}
	}
	none := c.Clients == nil && c.Tokens == nil
	fault(none && !c.AllowAnonymous, "nobody could be told from anybody else: set Config.Tokens or Config.Clients, or say AllowAnonymous")
	fault(!none && c.AllowAnonymous, "AllowAnonymous contradicts Config.Tokens and Config.Clients: remove it")
	fault(c.Peers != nil && c.Clients == nil, "Config.Peers judges certificates of Config.Clients, which is not set")
	fault(c.Batches && !c.Legacy, "Config.Batches is for revisions that only Config.Legacy enables")
	c.Path, c.SSEPath = or(c.Path, "/mcp"), or(c.SSEPath, "/sse")
	for _, path := range []string{c.Path, c.SSEPath} {
		fault(!plainPath(path), "the path %q must begin with a slash and hold only letters, digits and - _ . ~ /", path)
	}
	fault(c.Path == c.SSEPath, "Config.Path and Config.SSEPath are the same")
	var err error
	if s.hosts, err = newHosts(c.Hosts); err != nil {
		faults = append(faults, err)
	}
	if s.origins, err = newOrigins(c.Origins); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// plainPath reports whether a path is written in one way only, and is none of our own.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, "/.") || path == healthPath || path == readyPath {
		return false
	}
	for _, c := range []byte(path) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("-_.~/", rune(c)) {
			return false
		}
	}
	return true
}

// Handler returns the server without TLS and without bounds on connections, for tests and
// for a listener of one's own, which must be one of net/http that verifies client
// certificates where Config.Clients is set and puts them into the request's TLS field.
// What it starts in the background ends with [Server.Shutdown].
func (s *Server) Handler() http.Handler {
	s.background()
	return http.HandlerFunc(s.serveHTTP)
}

// ListenAndServe serves on a TCP address until ctx ends, as [Server.Serve] does.
func ListenAndServe(ctx context.Context, addr string, c Config) error {
	s, err := New(c)
	if err != nil {
		return err
	}
	return s.listenAndServe(ctx, addr)
}

// Freeze ends everything that matching principals have open and refuses their requests
// from now on, until [Server.Thaw]. It returns how many calls, streams and sessions it
// ended. The reason is for the log. match is asked again and again: it is quick, safe for
// concurrent use, and calls no method of the server.
func (s *Server) Freeze(match func(mcpsec.Principal) bool, reason string) int {
	s.frozen.add(match)
	return s.End(match, reason)
}

// Thaw takes back every Freeze of this server.
func (s *Server) Thaw() { s.frozen.clear() }

// End ends everything that matching principals have open, and returns how many calls,
// streams and sessions that were. They may come again.
func (s *Server) End(match func(mcpsec.Principal) bool, reason string) int {
	n := s.streams.End(match, stream.Frozen)
	s.log.Warn("ended what principals had open", "count", n, "reason", reason)
	return n
}

// A freezer holds who is frozen.
type freezer struct {
	mu      sync.Mutex
	matches atomic.Pointer[[]func(mcpsec.Principal) bool]
}

func (f *freezer) add(match func(mcpsec.Principal) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []func(mcpsec.Principal) bool
	if old := f.matches.Load(); old != nil {
		all = append(all, *old...)
	}
	all = append(all, match)
	f.matches.Store(&all)
}

func (f *freezer) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.matches.Store(nil)
}

// isFrozen reports whether the kill switch is on for a principal.
func (s *Server) isFrozen(p mcpsec.Principal) bool {
	if s.config.Frozen != nil && s.config.Frozen(p) {
		return true
	}
	matches := s.frozen.matches.Load()
	if matches == nil {
		return false
	}
	for _, match := range *matches {
		if match(p) {
			return true
		}
	}
	return false
}
