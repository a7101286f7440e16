package secrets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/mcpsec/mcpsec-go/creds"
)

// remedies say what to do about the codes of both APIs.
var remedies = map[string]string{ //nolint:gosec // advice, no credentials
	"ResourceNotFoundException":    "no such secret here, or no version of it has the label: create it in this region, or correct its name",
	"ParameterNotFound":            "no such parameter here: create it in this region as a SecureString, or correct its name",
	"ParameterVersionNotFound":     "the parameter has no such version",
	"AccessDeniedException":        "allow the base credentials to read it (secretsmanager:GetSecretValue or ssm:GetParameter), and kms:Decrypt if it has a KMS key of its own",
	"DecryptionFailure":            "its KMS key is disabled, scheduled for deletion, or refused: enable the key and allow kms:Decrypt",
	"InvalidKeyId":                 "its KMS key is disabled, scheduled for deletion, or gone: enable the key",
	"KMSInvalidStateException":     "its KMS key is disabled or scheduled for deletion: enable the key",
	"KMSDisabledException":         "its KMS key is disabled: enable the key",
	"InvalidRequestException":      "it is in no state to be read: look at it with DescribeSecret",
	"InvalidParameterException":    "the name is not one of a secret",
	"ValidationException":          "the name is not one of a parameter",
	"ExpiredTokenException":        "the base credentials have expired: their provider must renew them",
	"ExpiredToken":                 "the base credentials have expired: their provider must renew them",
	"UnrecognizedClientException":  "the base access key is unknown here: wrong account, region or credentials",
	"InvalidClientTokenId":         "the base access key is unknown here: wrong account, region or credentials",
	"InvalidSignatureException":    "the base secret key is wrong, or this machine's clock is by more than 5 minutes",
	"IncompleteSignatureException": "something between here and the service changes requests",
}

// describe puts an error of the SDK into words. It repeats the code, HTTP status and
// request id, and no text: a service answers a wrong signature with the whole request,
// session token included.
func describe(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("no answer in time: %w", cause)
	}
	if e, ok := errors.AsType[*keysError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*finalError](err); ok {
		return e
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code := api.ErrorCode()
		remedy := remedies[code]
		if isOutage(err) {
			return outage(word(code) + circumstances(err))
		}
		if code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "delet") {
			remedy = "it is scheduled for deletion: restore it with RestoreSecret, or bind another"
		}
		if remedy != "" {
			remedy = ": " + remedy
		}
		return errors.New(word(code) + circumstances(err) + remedy)
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return unreadable("it does not decode%s", circumstances(err))
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // without the URL
		if op, ok := errors.AsType[*net.OpError](e.Err); ok {
			return outage("not reached: " + op.Op + ": " + word(op.Err.Error()))
		}
		return outage(fmt.Sprintf("not reached (%T)", e.Err))
	}
	return fmt.Errorf("the request could not be made (%T)", err)
}

// outage is an error that any other request would have met as well.
func outage(said string) error { return fmt.Errorf("%s: %w", said, creds.ErrOutage) }

func isOutage(err error) bool {
	e, ok := errors.AsType[*awshttp.ResponseError](err)
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == awssdk.TrueTernary || ok && e.HTTPStatusCode() >= http.StatusInternalServerError
}

// circumstances are the HTTP status and the id of the request.
func circumstances(err error) string {
	e, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" (HTTP %d, request %s)", e.HTTPStatusCode(), word(e.ServiceRequestID()))
}

// word makes short and printable what others chose.
func word(s string) string {
	const most = 128
	s = strconv.QuoteToASCII(s[:min(len(s), most)])
	return s[1 : len(s)-1]
}
