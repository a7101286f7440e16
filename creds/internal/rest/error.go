package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// An Error is an answer that is no success. It holds nothing of the body but a code
// of a fixed set.
type Error struct {
	Place  string // host and path
	Status int    // of HTTP
	Code   string // the service's own, or empty
	To     string // where a redirect pointed: scheme, host and port; never followed here
	Wait   time.Duration
	one    bool // it may be about one caller alone
}

// Error names the place, the status and the service's code.
func (e *Error) Error() string {
	text := e.Place + ": HTTP " + strconv.Itoa(e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Wait > 0 {
		text += fmt.Sprintf(", asks to wait %v", e.Wait.Round(time.Second))
	}
	return text
}

// RetryAfter returns how long the service asked to be left alone, at most [MaxWait],
// or zero.
func (e *Error) RetryAfter() time.Duration { return e.Wait }

// Is says that the service as a whole is down or throttling: see [creds.ErrOutage].
func (e *Error) Is(target error) bool {
	return target == creds.ErrOutage && !e.one && (e.Status == http.StatusTooManyRequests || e.down())
}

func (e *Error) down() bool { return e.Status >= 502 && e.Status <= 504 }

// Status returns the HTTP status of the [Error] in err, or zero.
func Status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// Code returns the service's own code in err, or nothing.
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// retryAfter reads the header in both of its forms (RFC 9110 section 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, MaxWait))
}

// describe says what went wrong on the way. Errors of net/http repeat URLs, and what
// a peer sent in place of a well-formed answer, so only known kinds keep their text.
func describe(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[certificateError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return untrusted(e)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the service does not speak TLS")
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	switch e, ok := errors.AsType[net.Error](err); {
	case errors.Is(err, errTooLarge):
		return errTooLarge
	case ok && e.Timeout():
		return fmt.Errorf("timeout: %w", creds.ErrOutage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the service closed the connection: %w", creds.ErrOutage)
	}
	return errors.New("the exchange failed: the answer is not HTTP, or breaks off")
}

// untrusted says what is wrong with a certificate, without the names that it holds: a
// peer that nobody trusts wrote them.
func untrusted(err error) error {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("the certificate of the service is not for %s", e.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("the certificate of the service is signed by an unknown authority: give its certificate as Roots")
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return errors.New("the certificate of the service has expired or is not in force yet: is the clock right?")
	}
	return errors.New("the certificate of the service is not valid")
}
