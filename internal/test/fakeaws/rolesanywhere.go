package fakeaws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ARNs of what a [RolesAnywhere] knows.
const (
	TrustAnchorARN = "arn:aws:rolesanywhere:" + Region + ":" + Account + ":trust-anchor/0a0a0a0a-1111-2222-3333-444444444444"
	ProfileARN     = "arn:aws:rolesanywhere:" + Region + ":" + Account + ":profile/0b0b0b0b-1111-2222-3333-444444444444"
	WorkloadRole   = "arn:aws:iam::" + Account + ":role/workload"
)

// RolesAnywhere is CreateSession of IAM Roles Anywhere. It judges a request by what
// arrived and by the certificates in it, with nothing of any client's code.
type RolesAnywhere struct {
	URL string

	anchor *x509.Certificate
	trust  func(aws.Credentials)

	mu       sync.Mutex
	now      func() time.Time
	life     time.Duration // of a session; zero is what was asked for
	faults   []http.Handler
	taken    []time.Time // when requests of the last second came
	requests int
	certs    []*x509.Certificate // that sessions were made with
}

// NewRolesAnywhere starts a service that trusts the certificates that anchor has
// signed, directly or through others, and lives as long as the test. It tells trust of
// every session that it makes (see [Server.Trust]).
func NewRolesAnywhere(tb testing.TB, anchor *x509.Certificate, trust func(aws.Credentials)) *RolesAnywhere {
	tb.Helper()
	s := &RolesAnywhere{anchor: anchor, trust: trust, now: time.Now}
	ts := httptest.NewServer(s)
	s.URL = ts.URL
	tb.Cleanup(func() {
		ts.CloseClientConnections()
		ts.Close()
	})
	return s
}

// SetClock replaces the service's clock.
func (s *RolesAnywhere) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// SetLife makes sessions end after another time than was asked for.
func (s *RolesAnywhere) SetLife(life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = life
}

// Inject makes the next requests be answered by others.
func (s *RolesAnywhere) Inject(faults ...http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Requests is how many requests have come.
func (s *RolesAnywhere) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Certificates are those that sessions were made with, in order.
func (s *RolesAnywhere) Certificates() []*x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.certs)
}

// ServeHTTP implements http.Handler.
func (s *RolesAnywhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	now := s.now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set(requestID, rand.Text())
	if len(s.faults) > 0 {
		fault := s.faults[0]
		s.faults = s.faults[1:]
		fault.ServeHTTP(w, r)
		return
	}
	s.taken = slices.DeleteFunc(s.taken, func(at time.Time) bool { return now.Sub(at) >= time.Second })
	if s.taken = append(s.taken, now); len(s.taken) > 10 {
		writeError(w, r, &Error{Status: http.StatusTooManyRequests, Code: "ThrottlingException", Message: "Rate exceeded"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		writeError(w, r, Errorf("ValidationException", "%v", err))
		return
	}
	leaf, refusal := s.authenticate(r, body, now)
	if refusal != nil {
		writeError(w, r, refusal)
		return
	}
	out, refusal := s.session(r, body, leaf, now)
	if refusal != nil {
		writeError(w, r, refusal)
		return
	}
	s.certs = append(s.certs, leaf)
	write(w, http.StatusCreated, "application/json", out)
}

func denied(format string, args ...any) *Error {
	return &Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: fmt.Sprintf(format, args...)}
}

var x509Authorization = regexp.MustCompile(
	`^(AWS4-X509-(?:RSA|ECDSA)-SHA256) Credential=([0-9]+)/([0-9]{8})/([a-z0-9-]+)/rolesanywhere/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]+)$`)

// authenticate returns the certificate whose key has signed the request.
func (s *RolesAnywhere) authenticate(r *http.Request, body []byte, now time.Time) (*x509.Certificate, *Error) {
	m := x509Authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return nil, denied("Missing or malformed Authorization")
	}
	algorithm, serial, day, region, signed, signature := m[1], m[2], m[3], m[4], strings.Split(m[5], ";"), m[6]
	leaf, err := s.chain(r, now)
	if err != nil {
		return nil, denied("Untrusted certificate. %v", err)
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	switch {
	case err != nil || at.Format("20060102") != day || region != Region:
		return nil, denied("Credential scope does not fit")
	case now.Sub(at).Abs() > tolerance:
		return nil, denied("Signature expired: %s is not within 5 minutes of %s", stamp, now.UTC())
	case leaf.SerialNumber.String() != serial:
		return nil, denied("Serial number does not match")
	case !slices.IsSorted(signed):
		return nil, denied("SignedHeaders are not sorted")
	}
	if missing := unsigned(r.Header, signed); missing != "" {
		return nil, denied("%s is not signed", missing)
	}

	// The canonical request, from the bytes of the request line.
	path, query, _ := strings.Cut(r.RequestURI, "?")
	parameters := strings.Split(query, "&")
	slices.Sort(parameters)
	var canonical bytes.Buffer
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, path, strings.Join(parameters, "&"))
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&canonical, "\n%s\n%x", strings.Join(signed, ";"), sha256.Sum256(body))
	toSign := fmt.Sprintf("%s\n%s\n%s/%s/rolesanywhere/aws4_request\n%x", algorithm, stamp, day, region, sha256.Sum256(canonical.Bytes()))
	if err := verifyX509(leaf, algorithm, toSign, signature); err != nil {
		return nil, denied("The request signature does not match: %v", err)
	}
	return leaf, nil
}

func verifyX509(leaf *x509.Certificate, algorithm, text, signature string) error {
	digest := sha256.Sum256([]byte(text))
	sig, err := hex.DecodeString(signature)
	if err != nil {
		return err
	}
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if algorithm != "AWS4-X509-RSA-SHA256" {
			return errors.New("another algorithm")
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig)
	case *ecdsa.PublicKey:
		if algorithm != "AWS4-X509-ECDSA-SHA256" || !ecdsa.VerifyASN1(key, digest[:], sig) {
			return errors.New("no signature of this key")
		}
		return nil
	}
	return errors.New("no such kind of key")
}

// chain returns the certificate of the request, if it leads to the trust anchor.
func (s *RolesAnywhere) chain(r *http.Request, now time.Time) (*x509.Certificate, error) {
	parse := func(text string) (*x509.Certificate, error) {
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	leaf, err := parse(r.Header.Get("X-Amz-X509"))
	if err != nil {
		return nil, err
	}
	between, roots := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.anchor)
	if given := r.Header.Get("X-Amz-X509-Chain"); given != "" {
		for text := range strings.SplitSeq(given, ",") {
			c, err := parse(text)
			if err != nil {
				return nil, err
			}
			between.AddCert(c)
		}
	}
	if leaf.IsCA || leaf.Version != 3 || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, errors.New("insufficient certificate")
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return leaf, err
}

// session makes one.
func (s *RolesAnywhere) session(r *http.Request, body []byte, leaf *x509.Certificate, now time.Time) ([]byte, *Error) {
	var in struct {
		Duration int `json:"durationSeconds"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	q := r.URL.Query()
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/sessions" || r.Header.Get("Content-Type") != "application/json":
		return nil, Errorf("ValidationException", "no such operation")
	case d.Decode(&in) != nil || in.Duration < 900 || in.Duration > 43200:
		return nil, Errorf("ValidationException", "durationSeconds must be between 900 and 43200")
	case len(q) != 3:
		return nil, Errorf("ValidationException", "parameters")
	case q.Get("trustAnchorArn") != TrustAnchorARN || q.Get("profileArn") != ProfileARN:
		return nil, &Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "no such profile or trust anchor"}
	case q.Get("roleArn") != WorkloadRole:
		return nil, denied("Unable to assume role")
	}
	life := s.life
	if life == 0 {
		life = time.Duration(in.Duration) * time.Second
	}
	keys := aws.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: "fake/RA" + rand.Text(), SessionToken: "fakeRAtoken" + rand.Text(),
		CanExpire: true, Expires: now.Add(life).UTC().Truncate(time.Second),
	}
	if s.trust != nil {
		s.trust(keys)
	}
	out, err := json.Marshal(map[string]any{
		"subjectArn": "arn:aws:rolesanywhere:" + Region + ":" + Account + ":subject/0c0c0c0c-1111-2222-3333-444444444444",
		"credentialSet": []any{map[string]any{
			"roleArn": WorkloadRole, "sourceIdentity": "CN=" + leaf.Subject.CommonName, "packedPolicySize": 4,
			"assumedRoleUser": map[string]string{
				"arn":           "arn:aws:sts::" + Account + ":assumed-role/workload/" + leaf.SerialNumber.Text(16),
				"assumedRoleId": "AROAFAKE:" + leaf.SerialNumber.Text(16),
			},
			"credentials": map[string]string{
				"accessKeyId": keys.AccessKeyID, "secretAccessKey": keys.SecretAccessKey, "sessionToken": keys.SessionToken,
				"expiration": keys.Expires.Format(time.RFC3339),
			},
		}},
	})
	if err != nil {
		return nil, Errorf("InternalFailure", "%v", err)
	}
	return out, nil
}
