package redis

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultPrefix  = "mcpsec"
	DefaultTimeout = 20 * time.Millisecond
	DefaultOpenFor = time.Second
	DefaultLease   = 64
)

// A Config says how a Store uses Redis. The zero value means the defaults. Replicas
// that are to share limits need the same Prefix and Secret, and the same database.
type Config struct {
	// Prefix begins every key, in braces, so that all keys of a store are in one
	// hash slot of a cluster. At most 64 characters, without braces, white space and
	// wildcards. Stores with different prefixes share nothing.
	Prefix string
	// Secret keys the digests that stand for principals and tools in Redis, with at
	// least 16 bytes. Without one they are plain SHA-256, and who can read the keys
	// can test guesses.
	Secret []byte `json:"-"`
	// Timeout bounds each decision, from a millisecond to a second.
	Timeout time.Duration
	// OpenFor is how long no decision is asked for after several that failed.
	OpenFor time.Duration
	// Lease is how many permits of one bucket a replica takes at once at most while
	// there is plenty of them; 1 asks Redis about every call.
	Lease int
}

// Format prints a Config without its Secret.
func (c Config) Format(f fmt.State, verb rune) {
	type plain Config
	if len(c.Secret) > 0 {
		c.Secret = []byte("redacted")
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), plain(c))
}

func (c Config) complete() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.OpenFor == 0 {
		c.OpenFor = DefaultOpenFor
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	switch {
	case len(c.Prefix) > 64 || strings.ContainsFunc(c.Prefix, unfit):
		return c, fmt.Errorf("Config.Prefix %q: use at most 64 letters, digits and ASCII punctuation, no braces and no wildcards", c.Prefix)
	case len(c.Secret) > 0 && len(c.Secret) < 16:
		return c, errors.New("Config.Secret is too short to keep one: use 16 bytes or more, the same in all replicas")
	case c.Timeout < time.Millisecond || c.Timeout > time.Second:
		return c, fmt.Errorf("Config.Timeout %v: use a time between 1ms and 1s", c.Timeout)
	case c.OpenFor < 0:
		return c, fmt.Errorf("Config.OpenFor %v: use a positive time", c.OpenFor)
	case c.Lease < 0 || c.Lease > 4096:
		return c, fmt.Errorf("Config.Lease %d: use 1 to 4096", c.Lease)
	}
	return c, nil
}

// unfit are characters that would change which slot a key is in, or which keys the
// pattern of an ACL rule matches.
func unfit(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{}*?[]\`, r) }
