package inspector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/mcpsec/mcpsec-go/attest/vuln"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	service = "inspector-scan"
	// timeout bounds a scan; the service answers within seconds.
	timeout = 2 * time.Minute
	// maxComponents is what the service takes.
	maxComponents = 2000
	maxAnswer     = 64 << 20
)

// A Client asks Inspector. It is safe for concurrent use.
type Client struct {
	config aws.Config
	http   *http.Client
	signer *v4.Signer
	now    func() time.Time
}

// New returns a client of the configuration's region. Of the configuration count Region,
// Credentials, and BaseEndpoint, which replaces the service's own address.
func New(config aws.Config) *Client {
	transport := &http.Transport{TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: timeout, DisableKeepAlives: true}
	return &Client{
		config: config, signer: v4.NewSigner(), now: time.Now,
		http: &http.Client{
			Transport: transport, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Scan sends a CycloneDX 1.5 bill of materials of at most 2,000 components, and lets the
// gate judge what comes back. Its errors hold no credentials.
func (c *Client) Scan(ctx context.Context, gate *vuln.Gate, bill []byte) (*vuln.Verdict, error) {
	sent, err := read(bill)
	switch {
	case err != nil:
		return nil, fmt.Errorf("inspector: the bill of materials: %w", err)
	case sent.SpecVersion != "1.5" || sent.BOMFormat != "CycloneDX":
		return nil, fmt.Errorf("inspector: the bill of materials is %s %s, and must be CycloneDX 1.5", sent.BOMFormat, sent.SpecVersion)
	case len(sent.Components) == 0 || len(sent.Components) > maxComponents:
		return nil, fmt.Errorf("inspector: the bill of materials has %d components, and may have 1 to %d", len(sent.Components), maxComponents)
	}
	body, err := json.Marshal(struct {
		SBOM   json.RawMessage `json:"sbom"`
		Format string          `json:"outputFormat"`
	}{bill, "CYCLONE_DX_1_5"})
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.post(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	var said struct {
		SBOM json.RawMessage `json:"sbom"`
	}
	if err := json.Unmarshal(answer, &said); err != nil || len(said.SBOM) == 0 {
		return nil, errors.New("inspector: the answer has no bill of materials")
	}
	report, err := read(said.SBOM)
	if err != nil {
		return nil, fmt.Errorf("inspector: the answer: %w", err)
	}
	found, unjudged, err := report.findings(sent)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	verdict, err := gate.Judge(c.now(), found)
	if err == nil {
		verdict.Unjudged = unjudged
	}
	return verdict, err
}

func (c *Client) post(ctx context.Context, body []byte) ([]byte, error) {
	if c.config.Region == "" || c.config.Credentials == nil {
		return nil, errors.New("the configuration needs a region and credentials: nothing is looked up in the environment")
	}
	address := "https://" + service + "." + c.config.Region + ".amazonaws.com"
	if c.config.BaseEndpoint != nil {
		address = *c.config.BaseEndpoint
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/scan/sbom", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	keys, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	hash := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, keys, req, hex.EncodeToString(hash[:]), service, c.config.Region, c.now()); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, answer)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); len(answer) > maxAnswer || kind != "application/json" {
		return nil, fmt.Errorf("the answer is %s of %d bytes, not JSON of at most %d", resp.Header.Get("Content-Type"), len(answer), maxAnswer)
	}
	return answer, mcpsec.CheckJSON(answer)
}

// refusal says what the service refused, and what to do.
func refusal(resp *http.Response, body []byte) error {
	code := resp.Header.Get("X-Amzn-Errortype")
	var said struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(body, &said) == nil && said.Type != "" {
		code = said.Type
	}
	switch resp.StatusCode {
	case http.StatusForbidden:
		return fmt.Errorf("refused (403 %.64q): allow the caller inspector-scan:ScanSbom", code)
	case http.StatusTooManyRequests:
		return fmt.Errorf("throttled (429 %.64q): try again in a minute", code)
	}
	return fmt.Errorf("the service answers %d %.64q", resp.StatusCode, code)
}
