package state

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/internal/printable"
	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// Limits of what is remembered.
const (
	maxServers = 256
	maxName    = 256
	maxLog     = 512
	maxFile    = 4 << 20
	version    = 1
	keyBytes   = 32
	mode       = 0o600
)

// A stateFile is the state as JSON. MAC covers everything else in it.
type stateFile struct {
	Version    int       `json:"version"`
	Generation uint64    `json:"generation"` // rises with each write
	Clock      time.Time `json:"clock"`      // the latest time that was seen
	Servers    []record  `json:"servers"`    // sorted by name
	MAC        string    `json:"mac"`
}

// A record is what is remembered of one server.
type record struct {
	Name     string `json:"name"`
	Sequence uint64 `json:"sequence"`
	Digest   string `json:"digest"`
	Log      string `json:"log"`
}

func compareName(r record, name string) int { return cmp.Compare(r.Name, name) }

// A keyFile is the key as JSON, with the generation of the last state that was written
// with it.
type keyFile struct {
	Version    int    `json:"version"`
	Key        string `json:"key"`
	Generation uint64 `json:"generation"`
}

// A memory is both files.
type memory struct {
	file stateFile
	key  keyFile
}

// newMemory begins with nothing, and with a new key if there is none. Generations go on
// from where the key stands, so that a state from before is not taken for a new one.
func newMemory(k keyFile) (*memory, error) {
	if k.Key == "" {
		var secret [keyBytes]byte
		if _, err := rand.Read(secret[:]); err != nil {
			return nil, err
		}
		k = keyFile{Version: version, Key: hex.EncodeToString(secret[:])}
	}
	return &memory{stateFile{Version: version, Generation: k.Generation, Servers: []record{}}, k}, nil
}

// decode reads the state and checks that it is the last one written with the key.
func decode(raw []byte, k keyFile) (*memory, error) {
	m := &memory{key: k}
	if err := strictjson.Decode(raw, maxFile, &m.file); err != nil {
		return nil, err
	}
	if m.file.Version != version {
		return nil, fmt.Errorf("version %d is unknown", m.file.Version)
	}
	mac, err := m.mac()
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(mac), []byte(m.file.MAC)) {
		return nil, errors.New("it was not written with the key")
	}
	// The state is written before the key: one generation more is a write cut short.
	if g := m.file.Generation; g != k.Generation && g != k.Generation+1 {
		return nil, fmt.Errorf("it is generation %d, and the last one written is %d: it was restored from an older copy", g, k.Generation)
	}
	return m, m.file.check()
}

// check refuses a state that this package does not write.
func (f *stateFile) check() error {
	if f.Servers == nil || len(f.Servers) > maxServers {
		return fmt.Errorf("servers are missing, or more than %d", maxServers)
	}
	for i, r := range f.Servers {
		if i > 0 && f.Servers[i-1].Name >= r.Name {
			return errors.New("servers are not sorted")
		}
		if err := (Seen{Server: r.Name, Sequence: r.Sequence, Digest: r.Digest, Log: r.Log}).check(); err != nil {
			return err
		}
	}
	return nil
}

// mac authenticates the state.
func (m *memory) mac() (string, error) {
	secret, err := hex.DecodeString(m.key.Key)
	if err != nil || len(secret) != keyBytes {
		return "", fmt.Errorf("the key is not %d bytes in hexadecimal", keyBytes)
	}
	f := m.file
	f.MAC = ""
	raw, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("mcpsec attest state 1\n"))
	h.Write(raw)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// save writes the state and then the key. After a crash in between, the state is one
// generation ahead; never is the key.
func (s *Store) save(m *memory) error {
	if m.key.Generation == 0 && m.file.Generation == 0 { // the first use
		if err := replace(s.key, m.key); err != nil {
			return err
		}
	}
	m.file.Generation++
	mac, err := m.mac()
	if err != nil {
		return err
	}
	m.file.MAC = mac
	if err := replace(s.path, m.file); err != nil {
		return err
	}
	m.key.Generation = m.file.Generation
	return replace(s.key, m.key)
}

func replace(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := regular.Replace(path, append(raw, '\n'), mode); err != nil {
		return fmt.Errorf("%w: give the server's user the right to write in the folder", err)
	}
	return nil
}

func readKey(path string) (k keyFile, err error) {
	raw, err := read(path)
	if err != nil {
		return keyFile{}, err
	}
	if err := strictjson.Decode(raw, maxFile, &k); err != nil {
		return keyFile{}, err
	}
	if secret, err := hex.DecodeString(k.Key); err != nil || len(secret) != keyBytes || k.Version != version {
		return keyFile{}, fmt.Errorf("it is not a key of version %d", version)
	}
	return k, nil
}

// check refuses what does not describe a manifest.
func (s Seen) check() error {
	switch _, _, ok := splitLog(s.Log); {
	case s.Server == "" || len(s.Server) > maxName || !utf8.ValidString(s.Server+s.Log):
		// Bytes that are not UTF-8 would not come back from the file as they went in.
		return fmt.Errorf("the server's name has %d bytes, not 1 to %d, or is not UTF-8", len(s.Server), maxName)
	case s.Sequence == 0 || s.Sequence > 1<<53:
		return fmt.Errorf("sequence %d is not 1 to 2^53", s.Sequence)
	case len(s.Digest) != 64 || strings.Trim(s.Digest, "0123456789abcdef") != "":
		return errors.New("the digest is not SHA-256 in lower-case hexadecimal")
	case !ok:
		return fmt.Errorf("the log entry %s is not ORIGIN#INDEX", quote(s.Log))
	}
	return nil
}

// splitLog takes "ORIGIN#INDEX" apart. The empty text is no entry, and fine.
func splitLog(log string) (origin string, index uint64, ok bool) {
	if log == "" {
		return "", 0, true
	}
	i := strings.LastIndexByte(log, '#')
	if i <= 0 || len(log) > maxLog {
		return "", 0, false
	}
	index, err := strconv.ParseUint(log[i+1:], 10, 63)
	return log[:i], index, err == nil
}

func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return string(printable.AppendString(nil, s))
}
