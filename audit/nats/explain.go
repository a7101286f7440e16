package nats

import (
	"errors"
	"fmt"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of errors of a stream that the client has no names for.
const (
	codeAccountLimit  jetstream.ErrorCode = 10002
	codeInsufficient  jetstream.ErrorCode = 10023
	codeNoMemory      jetstream.ErrorCode = 10028
	codeNoStorage     jetstream.ErrorCode = 10047
	codeWrongStream   jetstream.ErrorCode = 10060
	codeNotStored     jetstream.ErrorCode = 10077
	codeStreamOffline jetstream.ErrorCode = 10118
)

// remedies says what the operator can do about an error.
var remedies = []struct {
	err    error
	remedy string
}{
	{jetstream.ErrNoStreamResponse, "no stream stores the subject: create the stream with it, or wait until it has a leader"},
	{jetstream.ErrInvalidJSAck, "somebody else answers on the subject: take away the right to subscribe to it"},
	{gonats.ErrPermissionViolation, "give the user the right to publish to the subject and to subscribe to its inbox"},
	{gonats.ErrAuthorization, "check the credentials in Options"},
	{gonats.ErrSecureConnWanted, "the server offers no TLS: configure it there, or set AllowPlaintext where the network is trusted"},
}

func remedy(err error) string {
	for _, r := range remedies {
		if errors.Is(err, r.err) {
			return r.remedy
		}
	}
	refused, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return ""
	}
	switch refused.ErrorCode {
	case codeNotStored:
		return "the stream is full: raise its limits or make room in it"
	case codeWrongStream:
		return "another stream stores the subject: check Config.Stream and Config.Subject"
	case codeAccountLimit, codeInsufficient, codeNoMemory, codeNoStorage, codeStreamOffline:
		return "the servers have no storage or no peers left for the stream: see to them"
	default:
		return ""
	}
}

// explain says for which stream and subject, and what to do about it.
func (d *Destination) explain(err error) error {
	what := remedy(err)
	err = fmt.Errorf("nats: stream %q, subject %q: %w", d.config.Stream, d.config.Subject, err)
	if what != "" {
		err = fmt.Errorf("%w (%s)", err, what)
	}
	return err
}
