package redis

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

// names makes the names of keys in Redis. They hold no name of a person or tool but
// a digest of it, of 128 bits: nobody meets a stranger's key by chance, and with a
// secret nobody can look for one who would.
type names struct {
	tag    string
	digest func(name string) []byte // keeps the secret out of sight of fmt
}

func newNames(c Config) names {
	n := names{tag: "{" + c.Prefix + "}"}
	if secret := slices.Clone(c.Secret); len(secret) > 0 {
		n.digest = func(name string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(name))
			return mac.Sum(nil)
		}
		return n
	}
	n.digest = func(name string) []byte {
		sum := sha256.Sum256([]byte(name))
		return sum[:]
	}
	return n
}

func (n names) bucket(key string) string  { return n.of("bucket:", key) }
func (n names) account(key string) string { return n.of("budget:", key) }
func (n names) hold(id string) string     { return n.of("hold:", id) }

func (n names) of(kind, key string) string {
	return n.tag + kind + base64.RawURLEncoding.EncodeToString(n.digest(kind + key)[:16])
}
