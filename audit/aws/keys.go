package aws

import (
	"context"
	"errors"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
)

// keys are the credentials that requests are signed with, of the configured
// provider. They are kept until shortly before they expire; those that do not expire
// are asked for each time, so that a rotation is seen. The SDK's cache is not used
// because it finishes a refresh that hangs without a deadline, and lets all later
// ones wait for it.
type keys struct {
	from awssdk.CredentialsProvider
	now  func() time.Time

	mu   sync.Mutex
	kept awssdk.Credentials
}

// early is how long before their end keys are renewed.
const early = time.Minute

// Retrieve implements the SDK's credentials provider. When keys cannot be renewed,
// those that are still valid serve to their end.
func (k *keys) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	now := k.now()
	k.mu.Lock()
	kept := k.kept
	k.mu.Unlock()
	if kept.HasKeys() && now.Add(early).Before(kept.Expires) {
		return kept, nil
	}
	fresh, err := k.from.Retrieve(ctx)
	if err == nil && !fresh.HasKeys() {
		err = errors.New("the keys are empty")
	}
	switch {
	case err != nil && kept.HasKeys() && now.Before(kept.Expires):
		return kept, nil
	case err != nil:
		return awssdk.Credentials{}, &credentialsError{err}
	}
	k.mu.Lock()
	k.kept = fresh
	k.mu.Unlock()
	return fresh, nil
}

// forget drops keys that a service has refused.
func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = awssdk.Credentials{}
}

// A credentialsError marks an error of the provider, whose text may say anything and
// is not repeated.
type credentialsError struct{ cause error }

func (*credentialsError) Error() string   { return "no credentials" }
func (e *credentialsError) Unwrap() error { return e.cause }
