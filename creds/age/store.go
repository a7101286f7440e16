package age

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const (
	// MaxFile bounds the encrypted file, in bytes.
	MaxFile = 1 << 20
	// maxWork bounds the work and the memory of a passphrase, as a power of two: 18 is
	// what age itself writes, a second or two and 256 MiB.
	maxWork = 18
)

// A Config says where the file is and what opens it: Identity or Passphrase. Their
// providers are closed with those of the [Store], and must not give out leases.
type Config struct {
	Path string
	// Identity gives the private keys, one a line, as age-keygen writes them. It is
	// usually [creds.File].
	Identity creds.Provider
	// Passphrase opens a file that was encrypted with one. Deriving the key takes about
	// a second each time the file is read.
	Passphrase creds.Provider
}

// A Store is an encrypted file. Make one with [Open]. It is safe for concurrent use and
// keeps nothing of the content.
type Store struct {
	conf Config
	turn chan struct{} // held by whoever decrypts: a passphrase takes much memory

	mu      sync.Mutex
	readers int // in decrypt
	begun   int // how many readings
	last    reading
}

// A reading is the outcome of one decryption. It is kept only as long as somebody waits.
type reading struct {
	number  int
	content []byte
	version string
	err     error
}

// Open returns a store. It opens nothing yet; what is wrong, its providers report from
// Check.
func Open(conf Config) *Store { return &Store{conf: conf, turn: make(chan struct{}, 1)} }

func (s *Store) check() error {
	var opener error
	switch {
	case s.conf.Identity != nil && s.conf.Passphrase != nil:
		opener = errors.New("give Config.Identity or Config.Passphrase, not both")
	case s.conf.Passphrase != nil:
		opener = rest.CheckSource(s.conf.Passphrase, "Config.Passphrase")
	default:
		opener = rest.CheckSource(s.conf.Identity, "Config.Identity")
	}
	f, _, err := regular.Open(s.conf.Path, MaxFile, judge)
	if err == nil {
		err = f.Close()
	}
	return errors.Join(opener, err)
}

// judge refuses a file that others may replace the content of.
func judge(info fs.FileInfo) error {
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s has mode %04o: its group or others may write it; set 0600", info.Name(), info.Mode().Perm())
	}
	return nil
}

// state tells one content of the file from the next.
func (s *Store) state() (string, error) {
	info, err := os.Stat(s.conf.Path)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(info.ModTime().UnixNano(), 10) + "/" + strconv.FormatInt(info.Size(), 10), nil
}

// decrypt returns what is in the file, and which version of it. The caller clears it.
// Deriving a key from a passphrase takes a second, so those who had to wait share one
// reading: the first that began after they came, because anything earlier may be of a
// file that has been replaced.
func (s *Store) decrypt(ctx context.Context) (content []byte, version string, err error) {
	s.mu.Lock()
	s.readers++
	begun := s.begun
	s.mu.Unlock()
	defer s.leave()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	s.mu.Lock()
	r := s.last
	fresh := r.number > begun
	if !fresh {
		s.begun++
		r = reading{number: s.begun}
	}
	s.mu.Unlock()
	if !fresh {
		r.content, r.version, r.err = s.read(ctx)
		if ctx.Err() != nil {
			r.number = 0 // it may have failed for this caller alone
		}
		s.mu.Lock()
		clear(s.last.content)
		s.last = r
		s.mu.Unlock()
	}
	return bytes.Clone(r.content), r.version, r.err
}

// leave overwrites the last reading when nobody waits any more.
func (s *Store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers--; s.readers == 0 {
		clear(s.last.content)
		s.last = reading{}
	}
}

// read returns what is in the file, and which version of it. The caller clears it.
func (s *Store) read(ctx context.Context) (content []byte, version string, err error) {
	f, info, err := regular.Open(s.conf.Path, MaxFile, judge)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	sealed, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil || len(sealed) > MaxFile {
		return nil, "", fmt.Errorf("%s cannot be read, or is larger than %d bytes", s.conf.Path, MaxFile)
	}
	identities, err := s.identities(ctx)
	if err != nil {
		return nil, "", err
	}
	content, err = unseal(sealed, identities)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", s.conf.Path, err)
	}
	return content, info.ModTime().UTC().Format(time.RFC3339Nano), nil
}

// identities returns what opens the file. Errors of the library may quote a key, so
// they are not repeated.
func (s *Store) identities(ctx context.Context) ([]age.Identity, error) {
	from, what := s.conf.Identity, "Config.Identity"
	if s.conf.Passphrase != nil {
		from, what = s.conf.Passphrase, "Config.Passphrase"
	}
	if from == nil {
		return nil, errors.New("Config.Identity is missing")
	}
	text, err := rest.Content(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer clear(text)
	if s.conf.Passphrase != nil {
		id, err := age.NewScryptIdentity(string(text))
		if err != nil {
			return nil, errors.New("Config.Passphrase is empty")
		}
		id.SetMaxWorkFactor(maxWork)
		return []age.Identity{id}, nil
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("Config.Identity: it is not what age-keygen writes: one AGE-SECRET-KEY-1... a line")
	}
	return ids, nil
}

// unseal decrypts a file, armored or not.
func unseal(sealed []byte, identities []age.Identity) ([]byte, error) {
	var in io.Reader = bytes.NewReader(sealed)
	if bytes.HasPrefix(bytes.TrimLeft(sealed, " \t\r\n"), []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	out, err := age.Decrypt(in, identities...)
	if err != nil {
		if none, ok := errors.AsType[*age.NoIdentityMatchError](err); ok && len(none.Errors) > 0 {
			return nil, errors.New("it is encrypted for another key or passphrase, or needs more work than is accepted")
		}
		return nil, errors.New("it is not an age file, or is damaged")
	}
	// What is sealed is longer than its content: one buffer, and no copies left behind.
	content := make([]byte, len(sealed))
	n, err := io.ReadFull(out, content)
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(content)
		return nil, errors.New("it is damaged")
	}
	// ErrUnexpectedEOF is both the end of the content and a file cut short.
	if _, err := out.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		clear(content)
		return nil, errors.New("it is damaged or cut short")
	}
	return content[:n], nil
}
