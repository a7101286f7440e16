package rolesanywhere

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	// maxAnswer bounds an answer, in bytes. A real one has about 2 KiB.
	maxAnswer = 64 << 10
	// maxSkew is how far the service's clock may be from ours. It refuses signatures of
	// more itself.
	maxSkew = 5 * time.Minute
)

// A busyError says that the same request may succeed a little later.
type busyError struct{ said string }

func (e *busyError) Error() string { return e.said }
func (*busyError) Unwrap() error   { return creds.ErrOutage }

// exchange sends a request, and judges the answer.
func (p *Provider) exchange(req *http.Request) (awssdk.Credentials, error) {
	var none awssdk.Credentials
	resp, err := p.client.Do(req)
	if err != nil {
		return none, unreached(req, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	defer clear(body)
	_ = resp.Body.Close() // it has been read
	if err != nil {
		return none, unreached(req, err)
	}
	if resp.StatusCode != http.StatusCreated {
		return none, p.refusal(resp, body)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || len(body) > maxAnswer || mcpsec.CheckJSON(body) != nil {
		return none, unreadable("it is no JSON")
	}
	keys, err := p.decode(body)
	if err != nil {
		return none, err
	}
	if skew := p.skew(resp); skew.Abs() > maxSkew {
		return none, clockError(skew)
	}
	return keys, nil
}

// decode takes the credentials out of an answer. Its errors say nothing of any.
func (p *Provider) decode(body []byte) (awssdk.Credentials, error) {
	var none awssdk.Credentials
	var answer struct {
		Set []struct {
			Role        string `json:"roleArn"`
			Credentials struct {
				ID         string    `json:"accessKeyId"`
				Secret     string    `json:"secretAccessKey"`
				Token      string    `json:"sessionToken"`
				Expiration time.Time `json:"expiration"`
			} `json:"credentials"`
		} `json:"credentialSet"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return none, unreadable("it does not decode")
	}
	if len(answer.Set) != 1 {
		return none, unreadable("it has no credentials, or several")
	}
	c, role := answer.Set[0].Credentials, answer.Set[0].Role
	now := p.now()
	switch {
	case role != p.config.RoleARN:
		return none, unreadable("it is for another role")
	case c.ID == "" || c.Secret == "" || c.Token == "":
		return none, unreadable("the credentials are incomplete")
	case c.Expiration.IsZero():
		return none, unreadable("the credentials have no end")
	case !c.Expiration.After(now):
		return none, fmt.Errorf("the credentials ended at %s: this machine's clock is ahead", c.Expiration.UTC().Format(time.RFC3339))
	case c.Expiration.After(now.Add(p.config.Duration + maxSkew)):
		return none, fmt.Errorf("the credentials end at %s, later than was asked for: this machine's clock is behind", c.Expiration.UTC().Format(time.RFC3339))
	}
	return awssdk.Credentials{
		AccessKeyID: c.ID, SecretAccessKey: c.Secret, SessionToken: c.Token,
		CanExpire: true, Expires: c.Expiration, Source: "IAM Roles Anywhere", AccountID: p.account,
	}, nil
}

// remedies say what to do about codes that do not pass by themselves.
var remedies = map[string]string{
	"AccessDeniedException": "trust anchor and profile must be enabled, the anchor's authority must have signed the certificate and not revoked it, " +
		"the profile must list the role, and the role must trust rolesanywhere.amazonaws.com for this certificate",
	"ResourceNotFoundException": "there is no such trust anchor, profile or role in this region",
	"ValidationException":       "a value breaks a rule of the service; Duration may be more than the profile allows",
}

// refusal is the error of an answer that is none. It repeats the code and no text.
func (p *Provider) refusal(resp *http.Response, body []byte) error {
	code := resp.Header.Get("X-Amzn-Errortype")
	if code == "" && len(body) <= maxAnswer {
		var said struct {
			Type string `json:"__type"`
			Code string `json:"code"`
		}
		if json.Unmarshal(body, &said) == nil {
			if code = said.Type; code == "" {
				code = said.Code
			}
		}
	}
	code, _, _ = strings.Cut(code, ":")
	code = code[strings.LastIndexByte(code, '#')+1:]
	text := fmt.Sprintf("HTTP %d", resp.StatusCode)
	if code != "" {
		text = word(code) + " (" + text + ")"
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 || strings.HasPrefix(code, "Throttl"):
		return &busyError{text + ": the service has no time: it takes ten requests a second from a whole account"}
	case p.skew(resp).Abs() > maxSkew:
		return clockError(p.skew(resp))
	case remedies[code] != "":
		return errors.New(text + ": " + remedies[code])
	case code == "":
		return unreadable(text)
	}
	return errors.New(text)
}

// skew is how far the service's clock is ahead of ours, as far as an answer tells.
func (p *Provider) skew(resp *http.Response) time.Duration {
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return at.Sub(p.now())
}

func clockError(skew time.Duration) error {
	if skew > 0 {
		return fmt.Errorf("this machine's clock is %v behind that of the service: correct it", skew.Round(time.Second))
	}
	return fmt.Errorf("this machine's clock is %v ahead of that of the service: correct it", -skew.Round(time.Second))
}

// unreached is the error of a request without an answer. It does not repeat the URL.
func unreached(req *http.Request, err error) error {
	if cause := req.Context().Err(); cause != nil {
		return fmt.Errorf("no answer in time: %w", cause)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("not reached: %s: %s: %w", op.Op, word(op.Err.Error()), creds.ErrOutage)
	}
	return fmt.Errorf("not reached, or the answer broke off (%T): %w", err, creds.ErrOutage)
}

func unreadable(why string) error {
	return fmt.Errorf("the answer is not one of this API: %s; look for a proxy or another program at the endpoint", why)
}

// word makes short and printable what others chose.
func word(s string) string {
	const most = 128
	s = strconv.QuoteToASCII(s[:min(len(s), most)])
	return s[1 : len(s)-1]
}
