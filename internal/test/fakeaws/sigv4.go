package fakeaws

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func static(context.Context) (aws.Credentials, error) { return Keys, nil }

// tolerance is how far a signature may be from the server's clock.
const tolerance = 5 * time.Minute

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// verify judges the signature of a request (Signature Version 4) and returns the
// credentials it was made with. It signs what came in with the SDK's signer, and
// compares.
func (s *Server) verify(r *http.Request, body []byte, service string, now time.Time) (aws.Credentials, *Error) {
	var none aws.Credentials
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return none, &Error{Status: http.StatusForbidden, Code: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
	}
	m := authorization.FindStringSubmatch(given[0])
	if len(given) != 1 || m == nil {
		return none, Errorf("IncompleteSignatureException", "Authorization header is not one of AWS4-HMAC-SHA256")
	}
	accessKey, day, region, name, signed := m[1], m[2], m[3], m[4], strings.Split(m[5], ";")

	s.mu.Lock()
	keys, known := s.keys[accessKey]
	s.mu.Unlock()
	if !known || r.Header.Get("X-Amz-Security-Token") != keys.SessionToken {
		return none, Errorf("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if keys.CanExpire && !now.Before(keys.Expires) {
		return none, Errorf("ExpiredTokenException", "The security token included in the request is expired")
	}
	if region != Region || name != service {
		return none, Errorf("InvalidSignatureException", "Credential should be scoped to a valid region and to service %q.", service)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(r.Header.Values("X-Amz-Date")) != 1 || at.Format("20060102") != day {
		return none, Errorf("IncompleteSignatureException", "Date of the credential scope and X-Amz-Date do not agree")
	}
	if now.Sub(at).Abs() > tolerance {
		return none, Errorf("InvalidSignatureException", "Signature expired or not yet current: %s, now %s", at, now)
	}
	if lower := unsigned(r.Header, signed); lower != "" {
		return none, Errorf("InvalidSignatureException", "'%s' must be a signed header", lower)
	}
	want, err := sign(r, body, signed, keys, service, at)
	if err != nil {
		return none, Errorf("IncompleteSignatureException", "%v", err)
	}
	if !hmac.Equal([]byte(want), []byte(given[0])) {
		// The real services say here what they signed, the session token with it.
		return none, Errorf("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"The Canonical String for this request should have been 'POST\n/\n\nhost:%s\nx-amz-security-token:%s\n'", r.Host, keys.SessionToken)
	}
	return keys, nil
}

// sign returns the Authorization header that a request should have.
func sign(r *http.Request, body []byte, signed []string, keys aws.Credentials, service string, at time.Time) (string, error) {
	again := r.Clone(r.Context())
	again.URL.Host, again.Header, again.ContentLength = r.Host, make(http.Header), 0
	for _, lower := range signed {
		switch lower {
		case "host":
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(lower)] = slices.Clone(r.Header.Values(lower))
		}
	}
	hash := sha256.Sum256(body)
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" } // whose paths are escaped once
	err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hex.EncodeToString(hash[:]), service, Region, at, plain)
	return again.Header.Get("Authorization"), err
}

// unsigned is a header that a signature must cover and does not.
func unsigned(have http.Header, signed []string) string {
	if !slices.Contains(signed, "host") {
		return "host"
	}
	for header := range have {
		if lower := strings.ToLower(header); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return lower
		}
	}
	return ""
}
