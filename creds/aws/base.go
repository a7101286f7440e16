package aws

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// window is how long before its end a base credential is renewed.
	window = 5 * time.Minute
	// flightTime bounds one attempt to have a base credential.
	flightTime = 5 * time.Second
	// pause is the least time between two attempts while the current one still serves.
	pause = time.Second
	// keep is how long keys of no known end serve before their source is asked again,
	// so that a rotation is seen; keepMost how long any keys do, and how long those of
	// no known end serve while their source fails.
	keep     = 5 * time.Minute
	keepMost = time.Hour
	// stuckMost bounds how many attempts may run past their time in a source that does
	// not heed its context.
	stuckMost = 4
)

// A Base is the identity with which roles are assumed and secrets are read: the one
// credential of the server itself, which no tool ever gets. It is always given by the
// operator: nothing is looked up in the environment, a profile or the metadata
// service of a host. Make one with [Keys], [SessionKeys], [From] or [WebIdentity].
//
// A Base implements the SDK's CredentialsProvider and none of its optional
// interfaces: a source that would answer a failed refresh with the old keys and a
// later end (as the SDK's provider for EC2 does) is not asked to. Keys are renewed
// five minutes before they end; those that are still good serve if that fails, and
// those that have ended never do. All callers share one attempt, which has a deadline
// of its own: none of them waits longer than its own context allows, and none can
// cancel it for the others.
//
// A Base is safe for concurrent use and meant to be shared. It has nothing to close:
// an attempt that nobody waits for ends within five seconds, if its source heeds its
// context. The zero value and nil refuse.
type Base struct {
	source awssdk.CredentialsProvider
	// user is set for keys of an IAM user: a role assumed with them is not chained.
	user  bool
	fault error
	now   func() time.Time

	mu      sync.Mutex
	kept    keys
	flight  *flight
	stuck   int
	attempt time.Time // when the last one began
}

var _ awssdk.CredentialsProvider = (*Base)(nil)

// A flight is one attempt to have keys, which several callers may wait for.
type flight struct {
	done chan struct{} // closed when what follows is settled
	keys keys
	err  error
}

var errNoBase error = &fault{text: "aws.Base: none is given: make one with Keys, SessionKeys, From or WebIdentity; nothing is looked up by itself"}

// From returns a Base that takes its keys from a provider of the SDK. Which one is
// the operator's decision: the result of config.LoadDefaultConfig, or the provider for
// EC2, ECS or EKS, is right exactly if every tool may act through what the host has.
func From(provider awssdk.CredentialsProvider) *Base {
	b := &Base{source: provider, now: time.Now}
	if provider == nil || awssdk.IsCredentialsProvider(provider, awssdk.AnonymousCredentials{}) {
		b.fault = errNoBase
	}
	if same, ok := provider.(*Base); ok { // one cache is enough
		if same == nil {
			b.fault = errNoBase
			return b
		}
		return same
	}
	return b
}

// Check says whether the Base can work, without asking its source.
func (b *Base) Check() error {
	if b == nil {
		return errNoBase
	}
	if b.fault == nil && b.source == nil {
		return errNoBase
	}
	return b.fault
}

// Retrieve returns keys that have not ended. It waits for them no longer than ctx
// allows.
func (b *Base) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	if err := b.Check(); err != nil {
		return awssdk.Credentials{}, err
	}
	now := b.now()
	b.mu.Lock()
	good, fresh := b.kept.alive(now), b.kept.fresh(now)
	kept := b.kept
	if since := now.Sub(b.attempt); fresh || good && since >= 0 && since < pause {
		b.mu.Unlock()
		return kept.reveal(), nil
	}
	f := b.begin(ctx, now)
	b.mu.Unlock()
	if good { // the attempt goes on by itself
		return kept.reveal(), nil
	}
	if f == nil {
		return awssdk.Credentials{}, &fault{text: "aws.Base: its source does not return; it must heed its context"}
	}
	wait, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	select {
	case <-f.done:
	case <-wait.Done():
	}
	select {
	case <-f.done: // preferred, if both are ready
		if f.err != nil {
			return awssdk.Credentials{}, f.err
		}
		return f.keys.reveal(), nil
	default:
		return awssdk.Credentials{}, faultf("aws.Base: no keys in time: %w", wait.Err())
	}
}

// begin returns the attempt that is under way, or begins one. The base is locked.
func (b *Base) begin(ctx context.Context, now time.Time) *flight {
	if b.flight != nil {
		return b.flight
	}
	if b.stuck >= stuckMost {
		return nil
	}
	f := &flight{done: make(chan struct{})}
	b.flight, b.attempt = f, now
	b.stuck++
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	// An attempt that is over its time makes room for the next, whether or not its
	// source returns.
	context.AfterFunc(own, func() { b.settle(f, keys{}, &fault{text: "aws.Base: its source gave no answer in time"}) })
	go func() {
		defer cancel()
		defer func() { // also if the source ends the goroutine
			b.mu.Lock()
			defer b.mu.Unlock()
			b.stuck--
		}()
		got, err := b.ask(own)
		b.settle(f, got, err)
	}()
	return f
}

// settle ends an attempt, once.
func (b *Base) settle(f *flight, got keys, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flight != f {
		return
	}
	b.flight = nil
	f.keys, f.err = got, err
	if err == nil {
		b.kept = got
	}
	close(f.done)
}

// ask asks the source, contains it, and judges what it says.
func (b *Base) ask(ctx context.Context) (got keys, err error) {
	defer func() {
		if p := recover(); p != nil { // its text might hold the secret
			err = faultf("aws.Base: its source panicked with a %T", p)
		}
	}()
	c, err := b.source.Retrieve(ctx)
	if err != nil {
		return keys{}, &sourceError{err}
	}
	c.Expires = c.Expires.Round(0) // the end is a matter of the wall clock
	b.mu.Lock()
	kept := b.kept
	b.mu.Unlock()
	if kept.ends && (!c.CanExpire || kept.expires.Before(c.Expires)) {
		if old := kept.reveal(); old.AccessKeyID == c.AccessKeyID && old.SessionToken == c.SessionToken {
			// The same session cannot end later than it was issued for: somebody, such
			// as the SDK's cache, extended it because a refresh failed.
			c.CanExpire, c.Expires = true, kept.expires
		}
	}
	got = hold(c, b.now())
	switch {
	case !c.HasKeys():
		return keys{}, &fault{text: "aws.Base: its source gave no keys"}
	case got.ends && got.expires.IsZero():
		return keys{}, &fault{text: "aws.Base: its source gave keys that end, and does not say when"}
	case !got.alive(got.at):
		return keys{}, faultf("aws.Base: its source gave keys that ended at %s: renew them there, or correct the clock", got.expires.UTC().Format(time.RFC3339))
	}
	return got, nil
}

// Format writes "[aws base]" for every verb.
func (*Base) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "[aws base]") // fmt keeps the error, if any
}

// A sourceError is an error of a source. Only what is known to be no secret is
// repeated.
type sourceError struct{ cause error }

func (e *sourceError) Error() string {
	return "aws.Base: its source failed: " + strings.TrimPrefix(tell(e.cause), "aws: ")
}
func (e *sourceError) Unwrap() error { return e.cause }
