package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// An argumentKey makes a mark of arguments by which equal ones can be recognised
// and none can be guessed: an HMAC (RFC 2104) over their canonical form (RFC 8785).
type argumentKey struct {
	prefix string
	states sync.Pool // of *hmacState
}

type hmacState struct {
	mac       hash.Hash
	canonical []byte
	text      []byte
	sum       [sha256.Size]byte
}

func newArgumentKey(id string, key []byte) *argumentKey {
	k := &argumentKey{prefix: "hmac-sha256:" + id + ":"}
	k.states.New = func() any { return &hmacState{mac: hmac.New(sha256.New, key)} }
	return k
}

// sum returns the mark of arguments. Text that has no canonical form, which the
// guard lets no tool call have, is taken as it is and marked as raw.
func (k *argumentKey) sum(arguments []byte) string {
	s := k.states.Get().(*hmacState) //nolint:forcetypeassert // New makes nothing else
	defer k.states.Put(s)
	s.mac.Reset()
	s.text = append(s.text[:0], k.prefix...)
	canonical, err := jcs.Append(s.canonical[:0], arguments)
	if err != nil {
		s.text = append(s.text, "raw:"...)
		canonical = arguments
	} else if cap(canonical) <= keepBuffer {
		s.canonical = canonical
	}
	_, _ = s.mac.Write(canonical) // a hash.Hash never fails
	s.text = hex.AppendEncode(s.text, s.mac.Sum(s.sum[:0]))
	return string(s.text)
}

const argumentKeyFile = "arguments.key"

// ownArgumentKey reads the key in the ledger's folder, or makes one.
func ownArgumentKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, argumentKeyFile)
	text, err := regular.ReadFile(path, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return key, regular.Replace(path, []byte(hex.EncodeToString(key)+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold a key of 64 hexadecimal digits: restore it, or remove it to begin with another", path)
	}
	return key, nil
}

func digestOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
