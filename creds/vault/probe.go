package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
)

// access is what configuration alone tells.
func (s *Server) access(path string, lifetime time.Duration) creds.Access {
	if s.fault != nil {
		return creds.Access{}
	}
	who := s.conf.Auth.describe() + ", " + s.clients[0].Host()
	if s.conf.Namespace != "" {
		who += ", namespace " + s.conf.Namespace
	}
	return creds.Access{
		Identity: who, Lifetime: lifetime,
		Rules: []creds.Rule{{Actions: []string{"read"}, Resources: []string{path}}},
	}
}

// capabilities asks Vault what the login may do with a path.
func (s *Server) capabilities(ctx context.Context, path string) (may []string, t *token, err error) {
	var answer struct {
		Capabilities []string `json:"capabilities"`
	}
	r := rest.Request{Method: http.MethodPost, Path: "/v1/sys/capabilities-self", JSON: map[string][]string{"paths": {path}}}
	if t, err = s.ask(ctx, r, &answer); err != nil {
		return nil, nil, explain("asking what may be done with "+path, err)
	}
	for _, c := range answer.Capabilities {
		if slices.Contains([]string{"create", "read", "update", "patch", "delete", "list", "sudo", "root", "subscribe", "recover", "scan"}, c) {
			may = append(may, c)
		}
	}
	return may, t, nil
}

// probe asks Vault whether the login may read a path.
func (s *Server) probe(ctx context.Context, path string, lifetime time.Duration) (creds.Access, error) {
	may, t, err := s.capabilities(ctx, path)
	if err != nil {
		return creds.Access{}, err
	}
	if !slices.Contains(may, "read") && !slices.Contains(may, "root") {
		return creds.Access{}, explain("asking what may be done with "+path, errors.New("the login may not read it: allow it in a policy"))
	}
	a := s.access(path, lifetime)
	a.Rules[0].Actions = may
	if len(may) > 1 {
		a.Notes = append(a.Notes, fmt.Sprintf("The login may do more than read: %s.", strings.Join(may, ", ")))
	}
	if t.root {
		a.Notes = append(a.Notes, "The login has the root policy: give it one that allows this path alone.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.ttl == 0 {
		a.Notes = append(a.Notes, "The token never expires.")
	}
	return a, nil
}
