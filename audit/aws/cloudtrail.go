package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Limits of PutAuditEvents.
const (
	trailEvents   = 100
	trailRequest  = 1_000_000 - len(trailHead) - len(trailTail)
	trailHead     = `{"auditEvents":[`
	trailTail     = `]}`
	trailService  = "cloudtrail-data" // also the first part of the endpoint
	trailPath     = "/PutAuditEvents"
	trailOverhead = 1 // the comma
)

// CloudTrailConfig configures [NewCloudTrail].
type CloudTrailConfig struct {
	// Channel is the ARN of the channel of a CloudTrail Lake integration, in the
	// region of the configuration.
	Channel string
	// ExternalID is what the channel's resource policy asks for; empty if it does
	// not.
	ExternalID string
	// EventSource is that of the channel's integration; empty stands for the origin
	// of the ledger.
	EventSource string
	// Format is the language in which the record stands in the event's
	// additionalEventData; nil is [audit.JSON].
	Format audit.Format
}

// CloudTrail is an [audit.Destination] that puts events in a CloudTrail Lake event
// data store. Its methods are for one goroutine at a time.
type CloudTrail struct {
	sender
	config  awssdk.Config
	signer  *v4.Signer
	url     string
	account string
	source  string
	now     func() time.Time
	skew    time.Duration // the service's clock ahead of ours, once it has minded
}

var _ audit.Destination = (*CloudTrail)(nil)

var (
	trailChannel  = regexp.MustCompile(`^arn:aws[a-z-]*:cloudtrail:([a-z0-9-]+):([0-9]{12}):channel/[a-zA-Z0-9_.-]{1,128}$`)
	trailExternal = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

// NewCloudTrail returns a destination that writes to CloudTrail Lake, which takes
// no new customers since 31 May 2026. The credentials need
// cloudtrail-data:PutAuditEvents on the channel and nothing else. They must be of
// the account that owns the channel.
//
// An event has who, what, when, from where and with which outcome in CloudTrail's
// own fields, cut to their lengths, and the whole record as a string in
// additionalEventData.record. A record that is too large for that (28,000 bytes) is
// rejected. Its UID is [audit.Record.ID], by which readers drop what they have
// already.
func NewCloudTrail(config awssdk.Config, to CloudTrailConfig) (*CloudTrail, error) {
	config, base, faults := harden(config)
	c := &CloudTrail{config: config, signer: v4.NewSigner(), source: to.EventSource, now: time.Now}
	if arn := trailChannel.FindStringSubmatch(to.Channel); arn == nil {
		faults = append(faults, errors.New("CloudTrailConfig.Channel: need the ARN of a channel"))
	} else if c.account = arn[2]; arn[1] != config.Region {
		faults = append(faults, fmt.Errorf("CloudTrailConfig.Channel: is in %s, aws.Config.Region is %s", arn[1], config.Region))
	}
	if to.ExternalID != "" && (!trailExternal.MatchString(to.ExternalID) || len(to.ExternalID) > 1224) {
		faults = append(faults, errors.New("CloudTrailConfig.ExternalID: need 2 to 1224 letters, digits and _+=,.@:/-"))
	}
	if len(to.EventSource) > trailText {
		faults = append(faults, fmt.Errorf("CloudTrailConfig.EventSource: more than %d bytes", trailText))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("audit/aws: CloudTrail: %w", errors.Join(faults...))
	}
	c.url = trailURL(config, to)
	c.sender = base
	c.what, c.format = fmt.Sprintf("CloudTrail PutAuditEvents to %q", to.Channel), orJSON(to.Format)
	c.limits = limits{entries: trailEvents, bytes: trailRequest, entry: trailRequest, overhead: trailOverhead}
	c.prepare, c.put = c.entry, c.request
	return c, nil
}

func trailURL(config awssdk.Config, to CloudTrailConfig) string {
	base := "https://" + trailService + "." + config.Region + ".amazonaws.com"
	if config.BaseEndpoint != nil {
		base = strings.TrimSuffix(*config.BaseEndpoint, "/")
	}
	query := url.Values{"channelArn": {to.Channel}}
	if to.ExternalID != "" {
		query.Set("externalId", to.ExternalID)
	}
	return base + trailPath + "?" + query.Encode()
}

// request makes one request. There is no client of the SDK in it, so what that
// would do about throttling and about clocks that differ is done here.
func (c *CloudTrail) request(ctx context.Context, batch []entry) ([]answer, error) {
	body := []byte(trailHead)
	for i := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, batch[i].data...)
	}
	body = append(body, trailTail...)
	for corrected := false; ; corrected = true {
		resp, err := c.post(ctx, body)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(resp.Body) // from memory: the client has read it
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return trailAnswers(text, batch)
		}
		err = trailError(resp, text)
		e, _ := errors.AsType[smithy.APIError](err)
		switch {
		case !corrected && c.correct(e.ErrorCode(), resp.Header):
			continue
		case resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusTooManyRequests,
			strings.HasPrefix(e.ErrorCode(), "Throttling"):
			return slices.Repeat([]answer{{again: e.ErrorCode()}}, len(batch)), nil
		}
		return nil, err
	}
}

func (c *CloudTrail) post(ctx context.Context, body []byte) (*http.Response, error) {
	keys, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	hash := sha256.Sum256(body)
	err = c.signer.SignHTTP(ctx, keys, req, hex.EncodeToString(hash[:]), trailService, c.config.Region, c.now().Add(c.skew))
	if err != nil {
		return nil, err
	}
	return c.client.Do(req)
}

// correct reports whether a request was refused because the clocks differ, and
// signs by the service's clock from then on. The service proves who it is by its
// certificate, and a signature is good for a few minutes of one service's time.
func (c *CloudTrail) correct(code string, header http.Header) bool {
	const minor = 4 * time.Minute // of the five that are allowed
	if !slices.Contains([]string{"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired"}, code) {
		return false
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" {
		return false
	}
	skew := date.Sub(c.now())
	if (skew - c.skew).Abs() <= minor {
		return false
	}
	c.skew = skew
	return true
}

// trailError reads an answer that is not 200.
func trailError(resp *http.Response, body []byte) error {
	var said struct {
		Type string `json:"__type"`
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON has no code
	code := resp.Header.Get("X-Amzn-Errortype")
	for _, other := range []string{said.Type, said.Code, "UnknownError"} {
		if code == "" {
			code = other
		}
	}
	code, _, _ = strings.Cut(code, ":")
	if _, after, ok := strings.Cut(code, "#"); ok {
		code = after
	}
	return &awshttp.ResponseError{
		RequestID: resp.Header.Get(requestID),
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: resp},
			Err:      &smithy.GenericAPIError{Code: code},
		},
	}
}
