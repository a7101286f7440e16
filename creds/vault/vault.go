package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// maxAddresses bounds how many nodes one request may be tried at.
const maxAddresses = 8

// A Config says where Vault is and how to log in.
type Config struct {
	// Addresses of the nodes of one cluster, best first: "https://vault.internal:8200".
	// The next is tried if one cannot be reached, is sealed or is a standby.
	Addresses []string
	Namespace string // empty for the root namespace
	Auth      Auth   // [Token], [AppRole] or [JWT]
	Roots     []byte // PEM certificates trusted in place of the system's
	// InsecureLoopback accepts http:// to 127.0.0.1 or ::1, for development.
	InsecureLoopback bool
}

// A Server is a Vault cluster and one login to it. Make one with [New]. It is safe for
// concurrent use and owns no goroutine: its token is renewed when it is next used.
//
// The providers made of it share its token. When the last of them is closed, a token
// that came from a login is revoked, and with it every lease that is left.
type Server struct {
	conf    Config
	clients []*rest.Client
	fault   error
	now     func() time.Time
	turn    chan struct{} // held by whoever renews the token or logs in

	mu      sync.Mutex
	active  int // index of the node that answered last
	token   *token
	retired *token // the one before
	users   int
}

// New returns a server. It connects to nothing yet; what is wrong with the
// configuration, its providers report from Check.
func New(conf Config) *Server {
	s := &Server{conf: conf, now: time.Now, turn: make(chan struct{}, 1)}
	if n := len(conf.Addresses); n == 0 || n > maxAddresses {
		s.fault = fmt.Errorf("vault: %d addresses: give 1 to %d", n, maxAddresses)
		return s
	}
	for _, address := range conf.Addresses {
		c, err := rest.New(rest.Config{URL: address, Roots: conf.Roots, InsecureLoopback: conf.InsecureLoopback, Now: func() time.Time { return s.now() }})
		if err != nil {
			s.fault = fmt.Errorf("vault: %w", err)
			return s
		}
		s.clients = append(s.clients, c)
	}
	if conf.Namespace != "" {
		if err := checkPath("the namespace", strings.Trim(conf.Namespace, "/")); err != nil {
			s.fault = fmt.Errorf("vault: %w", err)
			return s
		}
	}
	if conf.Auth == nil {
		s.fault = errors.New("vault: Config.Auth is missing: give a Token, AppRole or JWT")
	}
	return s
}

func (s *Server) check(spec creds.Spec) error {
	if s.fault != nil {
		return s.fault
	}
	if err := s.conf.Auth.check(); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := rest.NoParams(spec); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// exchange sends a request to the node that answered last, and to the next one if that
// is certain not to have acted on it.
func (s *Server) exchange(ctx context.Context, t *token, r rest.Request, into any) error {
	if s.fault != nil {
		return s.fault
	}
	r.Header = http.Header{"X-Vault-Request": {"true"}}
	if s.conf.Namespace != "" {
		r.Header["X-Vault-Namespace"] = []string{strings.Trim(s.conf.Namespace, "/") + "/"}
	}
	if t != nil {
		secret := t.id.Reveal()
		r.Header["X-Vault-Token"] = []string{string(secret)}
		clear(secret)
	}
	r.Code = refusal
	s.mu.Lock()
	node := s.active
	s.mu.Unlock()
	for tries := 1; ; tries++ {
		err := s.clients[node].Do(ctx, r, into)
		if err == nil {
			s.mu.Lock()
			s.active = node
			s.mu.Unlock()
			return nil
		}
		next, ok := s.elsewhere(node, err)
		if rest.Status(err) == 0 && !errors.Is(err, context.Canceled) { // it may have acted, so only the next request goes elsewhere
			s.pass(node)
		}
		if !ok || tries > len(s.clients) || ctx.Err() != nil {
			return err
		}
		node = next
	}
}

// pass makes the node after one that did not answer the first to be asked.
func (s *Server) pass(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == node {
		s.active = (node + 1) % len(s.clients)
	}
}

// Statuses of nodes that do not serve: see the documentation of sys/health.
const (
	statusRecovery = 472
	statusStandby  = 473
)

// elsewhere says which node to ask after one has refused as err says.
func (s *Server) elsewhere(node int, err error) (int, bool) {
	next := (node + 1) % len(s.clients)
	switch rest.Status(err) {
	case 0:
		return next, rest.NotSent(err) && next != node
	case http.StatusServiceUnavailable, statusRecovery, statusStandby:
		return next, next != node
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		e, _ := errors.AsType[*rest.Error](err)
		for i, c := range s.clients {
			if c.Origin() == e.To && i != node {
				return i, true
			}
		}
	}
	return 0, false
}

// join adds a provider to those that keep the server's token alive.
func (s *Server) join() func() error {
	s.mu.Lock()
	s.users++
	s.mu.Unlock()
	return sync.OnceValue(s.leave)
}

// leave revokes the tokens of logins when the last provider is closed: the one in use,
// and the one that it replaced if that has not ended.
func (s *Server) leave() error {
	s.mu.Lock()
	s.users--
	last, tokens := s.users == 0, []*token{s.token, s.retired}
	if last {
		s.token, s.retired = nil, nil
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	defer func() {
		for _, c := range s.clients {
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), rest.DefaultTimeout)
	defer cancel()
	var faults []error
	for _, t := range tokens {
		if t != nil {
			faults = append(faults, s.end(ctx, t))
		}
	}
	if s.conf.Auth != nil {
		faults = append(faults, rest.CloseSource(s.conf.Auth.source()))
	}
	return errors.Join(faults...)
}

// end revokes a token of ours, and overwrites it in any case.
func (s *Server) end(ctx context.Context, t *token) error {
	defer t.id.Close()
	s.mu.Lock()
	over := !t.own || t.batch || t.dead(s.now())
	s.mu.Unlock()
	if over {
		return nil
	}
	err := s.exchange(ctx, t, rest.Request{Method: http.MethodPost, Path: "/v1/auth/token/revoke-self"}, nil)
	if err == nil || rest.Status(err) == http.StatusForbidden && s.unknown(ctx, t) {
		return nil
	}
	return explain("revoking the token of the login", err)
}
