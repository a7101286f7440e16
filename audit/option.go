package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/mcpsec/mcpsec-go/audit/internal/redact"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

// An Option adds to what [New] makes. The zero Option is an error.
type Option func(*config) error

// config is what the options of New add up to.
type config struct {
	sinks    []Sink
	dir      string
	ledger   ledger.Options
	anchors  []func(text string)
	onFault  func(error)
	classify func(*Event) ledger.Class
	policy   string
	redact   redact.Config
	hmacID   string
	hmacKey  []byte
	flood    floodLimit
	cargo    []cargo
	given    map[string]bool
}

func newConfig() *config {
	return &config{
		classify: Classify, onFault: logFault, flood: floodLimit{DefaultRefusals, DefaultRefusalsPer},
		given: make(map[string]bool),
	}
}

// safely contains the panic of a function of the caller's that runs on a goroutine
// of the Logger's.
func safely(do func()) {
	defer func() { _ = recover() }()
	do()
}

func (c *config) read(opts []Option) (faults []error) {
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, fmt.Errorf("option %d is the zero Option", i+1))
			continue
		}
		if err := opt(c); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	if c.dir == "" && len(c.sinks) == 0 {
		faults = append(faults, errNoSink)
	}
	if c.dir == "" && len(c.given)+len(c.cargo) > 0 {
		faults = append(faults, errors.New("audit.Ship and the options about the ledger need audit.Dir: name its folder"))
	}
	return faults
}

// once refuses a second option of a kind, and notes that the ledger is spoken of.
func (c *config) once(kind string) error {
	if c.given[kind] {
		return fmt.Errorf("audit.%s was given twice", kind)
	}
	c.given[kind] = true
	return nil
}

// To adds sinks of the caller's own. The Logger owns them from here on and closes
// them.
func To(sinks ...Sink) Option {
	return func(c *config) error {
		if len(sinks) == 0 {
			return errors.New("audit.To: no sink given")
		}
		for i, s := range sinks {
			if s == nil {
				return fmt.Errorf("audit.To: sink %d is nil", i+1)
			}
			c.sinks = append(c.sinks, s)
		}
		return nil
	}
}

// Dir keeps the record in a ledger in a folder, which it creates with mode 0700; the
// folder above must exist. See audit/ledger for what that withstands. One process
// writes to a folder at a time.
func Dir(path string) Option {
	return func(c *config) error {
		if path == "" {
			return errors.New("audit.Dir: the path is empty")
		}
		c.dir = path
		return c.once("Dir")
	}
}

// SignedBy signs the ledger's checkpoints with a key of the caller's, for example
// one in a KMS ([ledger.NewKey]). Without it the ledger makes a key in its folder,
// and whoever can read it there can forge what nobody outside has seen yet.
func SignedBy(key *ledger.Key) Option {
	return func(c *config) error {
		if key == nil {
			return errors.New("audit.SignedBy: the key is nil")
		}
		c.ledger.Key = key
		return c.once("SignedBy")
	}
}

// Origin names the ledger in its checkpoints and in the ids of its records. It must
// be unique among the ledgers that one system receives. Without it a new folder gets
// "mcpsec/HOST/RANDOM".
func Origin(origin string) Option {
	return func(c *config) error {
		c.ledger.Origin = origin
		return c.once("Origin")
	}
}

// KeepAtMost bounds the ledger's files, in bytes: above it the oldest go, and a
// record says so. What a required destination ([Required]) has not taken stays, and
// calls are refused until it has. Without it nothing is removed.
func KeepAtMost(bytes int64) Option {
	return func(c *config) error {
		if bytes <= 0 {
			return fmt.Errorf("audit.KeepAtMost: %d bytes: keep some", bytes)
		}
		c.ledger.MaxBytes = bytes
		return c.once("KeepAtMost")
	}
}

// Segment sets when the ledger begins a new file: at a size in bytes, or an age.
// Without it that is 64 MiB, or one hour.
func Segment(bytes int64, age time.Duration) Option {
	return func(c *config) error {
		c.ledger.SegmentBytes, c.ledger.SegmentAge = bytes, age
		return c.once("Segment")
	}
}

// Anchor receives each signed checkpoint once it is on the disk, about one a second
// while calls come in. Taken to where this machine's owner cannot change it, it makes
// every later change of what it covers provable. It must not block. [Ship] takes the
// checkpoints to its destinations as well.
func Anchor(take func(checkpoint string)) Option {
	return func(c *config) error {
		if take == nil {
			return errors.New("audit.Anchor: the function is nil")
		}
		c.anchors = append(c.anchors, take)
		c.given["Anchor"] = true
		return nil
	}
}

// AnchorFile appends each signed checkpoint to a file, one JSON object a line, in
// the form that "mcpsec audit verify --anchor" reads. It is worth something only
// where whoever can change the ledger cannot change it: another user's append-only
// mount, a file that another machine collects.
func AnchorFile(path string) Option {
	return func(c *config) error {
		a, err := newAnchorFile(path)
		if err != nil {
			return fmt.Errorf("audit.AnchorFile: %w", err)
		}
		c.anchors = append(c.anchors, func(text string) {
			if err := a.append(text); err != nil {
				c.onFault(fmt.Errorf("audit.AnchorFile: %w", err))
			}
		})
		c.given["AnchorFile"] = true
		return nil
	}
}

// Quarantine lets the Logger start although the ledger was changed by somebody: what
// is there is moved into a folder of its own, and a new ledger begins whose first
// record says so. Without it New refuses, so that somebody looks first.
func Quarantine() Option {
	return func(c *config) error {
		c.ledger.Quarantine = true
		return c.once("Quarantine")
	}
}

// DropBounded lets calls of class Bounded run although they cannot be recorded at
// the moment. How many did, a record says later.
func DropBounded() Option {
	return func(c *config) error {
		c.ledger.DropBounded = true
		return c.once("DropBounded")
	}
}

// OnFault receives what an operator should know at once: a disk that fails, a file
// that another program changed, a destination that takes nothing. It must not block.
// Without it that is logged with slog.Default at level error.
func OnFault(tell func(error)) Option {
	return func(c *config) error {
		if tell == nil {
			return errors.New("audit.OnFault: the function is nil")
		}
		c.onFault = func(err error) { safely(func() { tell(err) }) }
		return nil
	}
}

// ClassifyWith replaces [Classify], which says what happens to a call that cannot be
// recorded. Events are read only, and gone when the function returns.
func ClassifyWith(classify func(*Event) ledger.Class) Option {
	return func(c *config) error {
		if classify == nil {
			return errors.New("audit.ClassifyWith: the function is nil")
		}
		c.classify = classify
		return nil
	}
}

// Policy puts the digest of the policy in force on every record, for example
// "sha256:" and 64 hexadecimal digits.
func Policy(digest string) Option {
	return func(c *config) error {
		if len(digest) > maxName {
			return fmt.Errorf("audit.Policy: a digest has at most %d bytes", maxName)
		}
		c.policy = digest
		return nil
	}
}

// LogArguments puts chosen arguments of a tool's calls into the record in clear:
// JSON pointers (RFC 6901), in which a segment "*" stands for every member or index.
// The tool "*" is every tool. A value is left out, and its path listed as redacted,
// if the tool's schema calls it sensitive (x-sensitive, writeOnly, format password),
// if its name does, or if it looks like a secret.
func LogArguments(tool string, pointers ...string) Option {
	return func(c *config) error {
		if tool == "" || len(pointers) == 0 {
			return errors.New("audit.LogArguments: name a tool, or \"*\", and the paths")
		}
		if c.redact.Clear == nil {
			c.redact.Clear = make(map[string][]string)
		}
		c.redact.Clear[tool] = append(c.redact.Clear[tool], pointers...)
		return nil
	}
}

// SecretNames adds names of members whose values are never recorded, whatever their
// case and separators, to those that are known, such as password and api_key.
func SecretNames(names ...string) Option {
	return func(c *config) error {
		c.redact.Names = append(c.redact.Names, names...)
		return nil
	}
}

// HeldSecrets makes the record know the secrets that the process holds at the
// moment: wherever one of them appears in a text, it is blanked. The sequence is
// asked for each such text and must be quick; the bytes are not kept. What a secret
// costs that is not in the text is a few nanoseconds.
func HeldSecrets(held iter.Seq[[]byte]) Option {
	return func(c *config) error {
		if held == nil {
			return errors.New("audit.HeldSecrets: the sequence is nil")
		}
		c.redact.Held = held
		return nil
	}
}

// ArgumentKey is the key of the arguments' HMAC, of at least 32 bytes, and the name
// by which records tell which key it was. Services that share it can compare their
// calls' arguments. Without it, [Dir] makes one in its folder, and without Dir there
// is no HMAC.
func ArgumentKey(id string, key []byte) Option {
	return func(c *config) error {
		if id == "" || len(id) > 64 || len(key) < 32 {
			return errors.New("audit.ArgumentKey: give it a name of up to 64 bytes and a key of at least 32")
		}
		c.hmacID, c.hmacKey = id, append([]byte(nil), key...)
		return nil
	}
}

// Defaults of [Refusals].
const (
	DefaultRefusals    = 20
	DefaultRefusalsPer = 10 * time.Second
)

// Refusals bounds how many refusals of one principal with one code are recorded one
// by one in a stretch of time, so that nobody can fill the disk by being refused.
// Those above it are counted, and recorded together as a Suppressed event at the
// stretch's end. At most a hundred times as many are recorded one by one of all
// principals together.
func Refusals(most int, per time.Duration) Option {
	return func(c *config) error {
		if most < 1 || per <= 0 {
			return fmt.Errorf("audit.Refusals(%d, %v): record at least 1 in a positive time", most, per)
		}
		c.flood = floodLimit{most, per}
		return nil
	}
}

// build opens what the options name.
func (l *Logger) build(c *config) (err error) {
	if l.redact, err = redact.New(c.redact); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if c.dir != "" {
		if err := l.open(c); err != nil {
			return fmt.Errorf("audit.Dir: %w", err)
		}
	}
	if c.hmacKey != nil {
		l.hmac = newArgumentKey(c.hmacID, c.hmacKey)
	}
	l.flood = newFlood(l, c.flood)
	return nil
}

// open opens the ledger, closes the calls that a crash cut off, and starts the
// deliveries.
func (l *Logger) open(c *config) (err error) {
	o := c.ledger
	o.Calls, o.OnFault = callsOf, c.onFault
	o.OnCheckpoint = func(text string) {
		for _, take := range c.anchors {
			safely(func() { take(text) })
		}
	}
	o.Hold = l.shipping.hold
	if l.ledger, err = ledger.Open(c.dir, o); err != nil {
		return err
	}
	l.sinks = append(l.sinks, store{l.ledger})
	if c.hmacKey == nil {
		key, err := ownArgumentKey(c.dir)
		if err != nil {
			return err
		}
		c.hmacID, c.hmacKey = hex.EncodeToString(digestOf(key)[:4]), key
	}
	// First, so that Hold knows the cursors and what is full can empty.
	if err := l.shipping.start(l.ledger, c.dir); err != nil {
		return err
	}
	if err := l.closeUnfinished(); err != nil {
		c.onFault(fmt.Errorf("audit.Dir: %w: the next start tries again", err)) // the ledger keeps them open
	}
	return nil
}
