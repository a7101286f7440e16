package dpop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// period is how long one nonce is given out; it is good for as long again.
const period = 5 * time.Minute

// nonces makes nonces that need no memory: the period, under a key of this process.
type nonces struct{ key []byte }

func newNonces() nonces {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails
	return nonces{key}
}

func (n nonces) make(now time.Time) string { return n.of(now.Unix() / int64(period/time.Second)) }

func (n nonces) good(now time.Time, nonce string) bool {
	current := now.Unix() / int64(period/time.Second)
	return same(nonce, n.of(current)) || same(nonce, n.of(current-1))
}

func (n nonces) of(number int64) string {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(number))) //nolint:gosec // any injective encoding does
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
