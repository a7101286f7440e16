package mcpsec

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// newID returns a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, 12
// bits of the millisecond's fraction (method 3 of section 6.2, so that the ids of
// one process sort by time to about 0.25 µs), and 62 random bits.
func newID(now time.Time) string {
	var u [16]byte
	binary.BigEndian.PutUint64(u[8:], rand.Uint64()) //nolint:gosec // an id is unique, not secret; this is ChaCha8, seeded by the system
	ms := uint64(now.UnixMilli())
	frac := uint64(now.Nanosecond()%1e6) * 4096 / 1e6 //nolint:gosec // below a million
	binary.BigEndian.PutUint64(u[:8], ms<<16|0x7000|frac)
	u[8] = u[8]&0x3f | 0x80

	var s [36]byte
	hex.Encode(s[0:8], u[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], u[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], u[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], u[8:10])
	s[23] = '-'
	hex.Encode(s[24:], u[10:])
	return string(s[:])
}
