package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
)

// A fault is an error of our own, whose text holds no secret.
type fault struct {
	text  string
	cause error
	again bool // it may pass by itself
}

func faultf(format string, args ...any) *fault {
	f := &fault{}
	err := fmt.Errorf(format, args...)
	f.text, f.cause = err.Error(), errors.Unwrap(err)
	return f
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

// RetryableError answers the SDK's retryer.
func (f *fault) RetryableError() bool { return f.again }

// tell says what is known of an error of the SDK and can be told. It repeats codes,
// HTTP status and request id, but no text: a service answers a wrong signature with
// the whole request, session token included.
func tell(err error) string {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.text
	}
	if f, ok := errors.AsType[*sourceError](err); ok {
		return f.Error()
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return advise(e.ErrorCode()) + circumstances(err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // without the URL, whose query may say too much
		return "not reached: " + printable(e.Err.Error())
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return unreadable + circumstances(err)
	}
	return fmt.Sprintf("it could not be asked (%T)", innermost(err))
}

const unreadable = "the answer is not one of this API; look for a proxy or another program at the endpoint"

// remedies say what to do about codes that do not pass by themselves.
var remedies = map[string]string{
	"AccessDenied":                "the trust policy of the role must allow this base sts:AssumeRole, with sts:TagSession if there are tags, sts:SetSourceIdentity if there is a source identity, and with its sts:ExternalId; a base that has a source identity can set no other",
	"ExpiredToken":                "the token or the base credentials have ended: renew them at their source",
	"ExpiredTokenException":       "the token or the base credentials have ended: renew them at their source",
	"IDPCommunicationError":       "AWS could not reach the identity provider: its keys must be public",
	"IDPRejectedClaim":            "the identity provider refused the token, or it was revoked",
	"IncompleteSignature":         "the request was changed on its way: look for a proxy",
	"InvalidClientTokenId":        "the access key of the base is unknown here: wrong account, partition or credentials",
	"InvalidIdentityToken":        "the token's issuer, key or audience is not what the account's OIDC provider expects",
	"InvalidParameterValue":       "a tag has the name of one that the session of the base passes on, whatever its case, or a value is not as the endpoint wants it",
	"MalformedPolicyDocument":     "the session policy has an element that AWS does not know",
	"PackedPolicyTooLarge":        "session policy and tags are too large together: shorten them",
	"RegionDisabledException":     "activate STS for the region in the account, or use another region",
	"SignatureDoesNotMatch":       "wrong secret key of the base, or the clock is wrong by more than 5 minutes",
	"Throttling":                  "too many requests of the whole account; credentials are kept, so look for others who ask",
	"UnrecognizedClientException": "the access key of the base is unknown here: wrong account, partition or credentials",
	"ValidationError":             "a value breaks a rule of STS",
}

// advise makes an error code printable and says what to do about it.
func advise(code string) string {
	code = plain(code)
	if remedy := remedies[code]; remedy != "" {
		return code + " (" + remedy + ")"
	}
	return code
}

// circumstances says by what to find an answer again, in the logs of either side.
func circumstances(err error) string {
	said := ""
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok && e.HTTPStatusCode() != http.StatusOK {
		said = ", HTTP " + strconv.Itoa(e.HTTPStatusCode())
	}
	if e, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok && e.ServiceRequestID() != "" {
		said += ", request " + plain(e.ServiceRequestID())
	}
	return said
}

// plain lets pass what codes and request ids are made of.
func plain(s string) string {
	odd := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("-_.", r) }
	if s == "" || len(s) > 128 || strings.ContainsFunc(s, odd) {
		return "(unprintable)"
	}
	return s
}

func isAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// printable bounds a text that others chose and escapes what is not ASCII.
func printable(s string) string {
	const most = 256
	s = strconv.QuoteToASCII(s[:min(len(s), most)])
	return s[1 : len(s)-1]
}

// innermost is the error at the end of a chain.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
