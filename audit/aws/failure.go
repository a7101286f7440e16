package aws

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
)

// failure is the error of a Deliver. Of what the service or the SDK said it repeats
// codes, HTTP status and request id, but no text: a service answers a wrong
// signature with the whole request, session token included.
func (s *sender) failure(ctx context.Context, err error) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok && slices.Contains(refusedKeys, e.ErrorCode()) {
		s.keys.forget()
	}
	switch ended := ctx.Err(); {
	case ended == nil:
		return fmt.Errorf("audit/aws: %s: %s", s.what, describe(err))
	case errors.Is(err, ended):
		return fmt.Errorf("audit/aws: %s: no answer in time: %w", s.what, ended)
	default:
		return fmt.Errorf("audit/aws: %s: %s: %w", s.what, describe(err), ended)
	}
}

// describe says what is known of an error and can be told.
func describe(err error) string {
	said := ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		said = advise(e.ErrorCode()) + circumstances(err)
	}
	if e, ok := errors.AsType[*credentialsError](err); ok {
		if said == "" {
			said = fmt.Sprintf("%T", innermost(e.cause))
		}
		return "the configured credentials cannot be had (" + said + "): see what Retrieve of their provider returns"
	}
	if e, ok := errors.AsType[*finalError](err); ok {
		return e.text
	}
	if said != "" {
		return said
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // without the URL, whose query may say too much
		return "not reached: " + printable(e.Err.Error())
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return unreadable("it does not decode").Error() + circumstances(err)
	}
	return fmt.Sprintf("the request could not be made (%T)", innermost(err))
}

// refusedKeys are the codes that say that keys are no good, or no longer.
var refusedKeys = []string{"ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"}

// remedies say what to do about codes that do not pass by themselves.
var remedies = map[string]string{
	"ResourceNotFoundException":     "create it in this region, or correct its name",
	"AccessDeniedException":         "allow the credentials this one action on it",
	"ExpiredTokenException":         "the credentials have expired: their provider must renew them",
	"UnrecognizedClientException":   "the access key is unknown here: wrong account, region or credentials",
	"InvalidSignatureException":     "wrong secret key, or the clock is wrong by more than 5 minutes",
	"InvalidClientTokenId":          "the access key is unknown here: wrong account, region or credentials",
	"ChannelNotFound":               "create the channel, or correct its ARN",
	"ChannelInsufficientPermission": "allow the credentials cloudtrail-data:PutAuditEvents on the channel",
	"InvalidEventSource":            "set CloudTrailConfig.EventSource to the one the channel was made for",
	"InvalidRecipient":              "the channel must belong to the account in its ARN",
	"AccountNotSubscribed":          "the channel needs an event data store to deliver to",
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
	var b strings.Builder
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		b.WriteString(", HTTP " + strconv.Itoa(e.HTTPStatusCode()))
	}
	if e, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok && e.ServiceRequestID() != "" {
		b.WriteString(", request " + plain(e.ServiceRequestID()))
	}
	return b.String()
}

// plain lets pass what codes and request ids are made of.
func plain(s string) string {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.", r)
	}
	if s == "" || len(s) > 128 || strings.ContainsFunc(s, odd) {
		return "(unprintable)"
	}
	return s
}

// printable bounds a text that the network chose and escapes what is not ASCII.
func printable(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
	}
	s = strconv.QuoteToASCII(s)
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
