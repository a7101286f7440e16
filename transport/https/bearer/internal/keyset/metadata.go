package keyset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/fetch"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// Metadata is what of an authorization server's metadata (RFC 8414) matters here.
type Metadata struct {
	Issuer        string `json:"issuer"`
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

// maxMetadata bounds how long metadata is believed.
const maxMetadata = time.Hour

// Metadata returns the issuer's metadata, as it was read in the last hour.
func (s *Set) Metadata(ctx context.Context) (*Metadata, error) {
	s.mu.Lock()
	meta, fresh := s.meta, s.source.Now().Sub(s.read) < maxMetadata
	s.mu.Unlock()
	if meta != nil && fresh {
		return meta, nil
	}
	meta, err := discover(ctx, s.source.Client, s.source.Issuer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meta, s.read = meta, s.source.Now()
	return meta, nil
}

// discover asks in the order that the MCP specification lists: RFC 8414, then OpenID
// Connect with the path behind and before.
func discover(ctx context.Context, c *fetch.Client, issuer string) (*Metadata, error) {
	addresses, err := addresses(issuer)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, address := range addresses {
		data, err := c.Get(ctx, address)
		if err != nil {
			faults = append(faults, err)
			if status, ok := errors.AsType[*fetch.StatusError](err); ok && status.Code >= 400 && status.Code < http.StatusInternalServerError {
				continue // not there: elsewhere, perhaps
			}
			break
		}
		meta := new(Metadata)
		if err := jose.Decode(data, meta); err != nil {
			return nil, fmt.Errorf("metadata of %s: %w", address, err)
		}
		if meta.Issuer != issuer {
			// RFC 8414, section 3.3: or one issuer could speak for another.
			return nil, fmt.Errorf("metadata of %s: it is of another issuer", address)
		}
		if err := fetch.CheckURL(meta.JWKS); err != nil {
			return nil, fmt.Errorf("metadata of %s: jwks_uri: %w", address, err)
		}
		return meta, nil
	}
	return nil, fmt.Errorf("metadata: %w", errors.Join(faults...))
}

func addresses(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, errors.New("the issuer is not a URL")
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	base := u.Scheme + "://" + u.Host
	return slices.Compact([]string{
		base + "/.well-known/oauth-authorization-server" + path,
		base + "/.well-known/openid-configuration" + path,
		base + path + "/.well-known/openid-configuration",
	}), nil
}
