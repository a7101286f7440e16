package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// Defaults and limits of the options.
const (
	DefaultRehash = time.Minute // see [Rehash]
	MaxPolicy     = 4 << 20     // of a policy file, in bytes
)

// An Option configures an [Attestor].
type Option func(*config)

// config is what the options say.
type config struct {
	sources       []func() (source, error)
	dir           string
	state         string
	stateKey      string
	minimum       uint64
	rehash        time.Duration
	policy        *string // digest
	allowUnpinned bool
	rules         []func(*manifest.Manifest) error
	faults        []error
}

// Manifest takes the manifest from a file of one or more signed bundles, whose signatures
// trust must accept: [Key] for a pinned key, [envelope.Threshold] for several signers,
// attest/sigstore and attest/cosign for signatures by identity. The file is a regular one,
// or a symbolic link to one, of at most [envelope.MaxFile] bytes.
func Manifest(path string, trust envelope.Verifier) Option {
	return func(c *config) {
		c.sources = append(c.sources, func() (source, error) { return readSigned(path, trust) })
	}
}

// Pinned takes the manifest from memory, for example from bytes compiled into the program
// and read with [manifest.Decode]: it is as trustworthy as the program. It is copied.
func Pinned(m *manifest.Manifest) Option {
	return func(c *config) {
		c.sources = append(c.sources, func() (source, error) { return readPinned(m) })
	}
}

// Unsigned takes the manifest from a file without a signature, for development: whoever
// can write the file decides what is attested. Install logs a warning, and every tool call
// carries the note attest.unsigned into the audit record.
func Unsigned(path string) Option {
	return func(c *config) {
		c.sources = append(c.sources, func() (source, error) { return readUnsigned(path) })
	}
}

// Dir is the folder that the paths of the artifacts begin in. A manifest with artifacts
// needs it.
func Dir(path string) Option { return func(c *config) { c.dir = path } }

// State remembers the highest sequence number that was accepted in a file, so that no
// older manifest, however well signed, is accepted afterwards. The file and those beside it
// (.key, .lock) are made on first use with mode 0600. They hold the memory and are not to be
// restored from a backup; where no file survives, use [MinSequence].
//
// If one of them is lost and another is not, the server does not start. If all are, that
// looks like a first use, which logs a warning: a folder that can be emptied needs
// [MinSequence] as well, or [StateKey]. It is written when Install has succeeded in all
// else: a release that never served does not rule out the one before.
func State(path string) Option { return func(c *config) { c.state = path } }

// StateKey puts the key of [State] into a file of its own folder, best where whoever can
// remove the state cannot: then a state that was removed is not taken for a first use.
func StateKey(path string) Option { return func(c *config) { c.stateKey = path } }

// MinSequence refuses manifests with a lower sequence number. It is the rollback
// protection that needs no file, and it lets a lost [State] begin anew.
func MinSequence(n uint64) Option { return func(c *config) { c.minimum = n } }

// Rehash sets how often artifacts with bind watch are read and hashed anew in the
// background; 0 and no such option mean [DefaultRehash]. That takes no more
// than a twentieth of a processor: large files are read less often. A file that seems to
// have changed is read at once.
func Rehash(every time.Duration) Option {
	return func(c *config) {
		if every < 0 {
			c.faults = append(c.faults, fmt.Errorf("Rehash(%v) is negative", every))
		}
		c.rehash = every
	}
}

// Policy compares the digest of a policy with the manifest's policySha256. Give it the
// very bytes that the guard was made from. A manifest that pins a policy needs it.
func Policy(text []byte) Option {
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	return func(c *config) { c.policy = &digest }
}

// PolicyFile is [Policy] for a file of at most [MaxPolicy] bytes. Who reads the file at
// another moment may read something else: prefer Policy.
func PolicyFile(path string) Option {
	return func(c *config) {
		text, err := regular.ReadFile(path, MaxPolicy)
		if err != nil {
			c.faults = append(c.faults, fmt.Errorf("policy: %w", err))
			return
		}
		Policy(text)(c)
	}
}

// AllowUnpinnedExecutable accepts a manifest that lists no executable at all. The
// definitions are then attested, the code behind them is not. A manifest that lists some
// must list the one that runs all the same.
func AllowUnpinnedExecutable() Option { return func(c *config) { c.allowUnpinned = true } }

// Accept adds a rule of the operator's own about the manifest, which is verified by then
// and must not be changed: an error refuses it. It may be asked more than once. For example, with the manifest that ran
// before at hand, a rule can refuse what [manifest.Diff] calls weaker, such as a tool whose
// version went down although the sequence went up.
func Accept(rule func(*manifest.Manifest) error) Option {
	return func(c *config) {
		if rule == nil {
			c.faults = append(c.faults, errors.New("Accept(nil)"))
			return
		}
		c.rules = append(c.rules, rule)
	}
}
