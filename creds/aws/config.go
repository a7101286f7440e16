package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/mcpsec/mcpsec-go/creds"
)

// Config returns a configuration for the SDK's clients, with the tool's own credential
// called [DefaultName] and the region of its grant. It is for the handler of a tool
// call: clients made of it ask the call's [creds.Handle] for each request, so that they
// work on when keys are renewed, and no longer than the call. Nothing of the
// environment, of profiles or of the host is in it.
//
// When a service says that the keys are expired or unknown, they are reported, and the
// request is made once more with new ones. The configuration has no log mode, because
// the SDK would write secrets to it, no proxy, and the SDK's timeouts; its HTTPClient
// may be replaced.
//
// Every error is a [*mcpsec.Denial] that the handler can return.
func Config(ctx context.Context) (awssdk.Config, error) { return ConfigFor(ctx, DefaultName) }

// ConfigFor is Config for a credential of another name, as given with [As].
func ConfigFor(ctx context.Context, name string) (awssdk.Config, error) {
	h, err := creds.From(ctx)
	if err != nil {
		return awssdk.Config{}, err
	}
	b := &borrowed{handle: h, name: name}
	m, err := b.get(ctx)
	if err != nil {
		return awssdk.Config{}, err
	}
	return awssdk.Config{
		Region: m.Public["region"], Credentials: b, HTTPClient: outgoing(), Logger: silent{},
		Retryer:    func() awssdk.Retryer { return retry.NewStandard() },
		APIOptions: []func(*middleware.Stack) error{b.attach},
	}, nil
}

// outgoing is the HTTP client of all handlers, so that connections are used again.
var outgoing = sync.OnceValue(func() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(transportOptions)
})

// A borrowed provider asks the handle of a call.
type borrowed struct {
	handle *creds.Handle
	name   string
	last   atomic.Pointer[opened]
}

// opened are keys read from a Material.
type opened struct {
	keys    awssdk.Credentials
	expires time.Time
}

func (b *borrowed) get(ctx context.Context) (creds.Material, error) {
	m, err := b.handle.Get(ctx, b.name)
	if err == nil && m.Record.Provider != providerName {
		err = fmt.Errorf("aws.Config: credential %q is not one of AWS", b.name)
	}
	return m, err
}

// Retrieve implements the SDK's CredentialsProvider.
func (b *borrowed) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	m, err := b.get(ctx)
	if err != nil {
		return awssdk.Credentials{}, err
	}
	if op, ok := middleware.GetStackValue(ctx, operationKey{}).(*operation); ok {
		op.keys.Store(&m.Secret)
	}
	if o := b.last.Load(); o != nil && o.keys.AccessKeyID == m.Record.KeyID && o.expires.Equal(m.Expires) {
		return o.keys, nil
	}
	text := m.Secret.Reveal()
	defer clear(text)
	var d keyDocument
	if json.Unmarshal(text, &d) != nil || d.AccessKeyID != m.Record.KeyID {
		return awssdk.Credentials{}, errors.New("aws.Config: the credential was closed by the handler, or is not one of AWS")
	}
	o := &opened{awssdk.Credentials{
		AccessKeyID: d.AccessKeyID, SecretAccessKey: d.SecretAccessKey, SessionToken: d.SessionToken,
		CanExpire: true, Expires: m.Expires, Source: "mcpsec",
	}, m.Expires}
	b.last.Store(o)
	return o.keys, nil
}

// refusedKeys are the codes that say that keys are no good, or no longer.
var refusedKeys = []string{
	"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidTokenId", "InvalidToken",
}

type operationKey struct{}

// An operation of a client: the keys it was given last, and whether they were reported.
type operation struct {
	keys     atomic.Pointer[creds.Value]
	reported atomic.Bool
}

// attach adds to the SDK's steps what reports keys that a service refused.
func (b *borrowed) attach(stack *middleware.Stack) error {
	once := middleware.InitializeMiddlewareFunc("mcpsec.Once", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(middleware.WithStackValue(ctx, operationKey{}, new(operation)), in)
	})
	report := middleware.FinalizeMiddlewareFunc("mcpsec.Report", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		if e, ok := errors.AsType[smithy.APIError](err); ok && slices.Contains(refusedKeys, e.ErrorCode()) {
			err = b.report(ctx, err, e.ErrorCode())
		}
		return out, metadata, err
	})
	if err := stack.Initialize.Add(once, middleware.Before); err != nil {
		return err
	}
	if err := stack.Finalize.Insert(report, "Retry", middleware.After); err != nil {
		return stack.Finalize.Add(report, middleware.Before) // a client without retries
	}
	return nil
}

// report has the keys replaced, once for an operation.
func (b *borrowed) report(ctx context.Context, err error, code string) error {
	op, ok := middleware.GetStackValue(ctx, operationKey{}).(*operation)
	if !ok || op.reported.Swap(true) || op.keys.Load() == nil {
		return &final{err}
	}
	b.last.Store(nil)
	if refused := b.handle.Report(*op.keys.Load(), errors.New("the service said "+plain(code))); refused != nil {
		return &final{errors.Join(refused, err)}
	}
	return &renewed{err}
}

// A renewed error was about keys that have been replaced: try again.
type renewed struct{ error }

func (e *renewed) Unwrap() error      { return e.error }
func (*renewed) RetryableError() bool { return true }

// A final error will not pass.
type final struct{ error }

func (e *final) Unwrap() error      { return e.error }
func (*final) RetryableError() bool { return false }
