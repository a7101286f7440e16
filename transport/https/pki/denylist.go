package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	maxDenyFile    = 8 << 20
	maxDenyEntries = 100_000
)

// A Denied is a list of certificates that are refused, from a file that it follows: it is
// [Peers].
type Denied struct {
	live[map[string]struct{}]
}

// DenyList reads a file that names certificates to refuse, one a line; what follows a # is a
// comment, and an empty file refuses nobody:
//
//	serial:0A:1B:2C…   the serial number, of whatever issuer
//	sha256:5e884898…   the SHA-256 fingerprint of the certificate
//	spki:9f86d081…     the SHA-256 of the public key (SubjectPublicKeyInfo), for all
//	                   certificates of a key that was stolen
//
// Hexadecimal, with or without colons. A certificate of any place in the chain counts, also
// an authority. A line that cannot be read, or a file that is gone, leaves the list as it
// was. It is the quick way to end a client: no authority has to sign anything.
func DenyList(path string) (*Denied, error) {
	d := &Denied{}
	d.read = func() (content, error) { return readAll("DenyList", []string{path}, maxDenyFile) }
	d.parse = func(c content, _ *map[string]struct{}) (*map[string]struct{}, error) {
		list, err := parseDenyList(c[0])
		if err != nil {
			return nil, fmt.Errorf("pki: DenyList: %s: %w", path, err)
		}
		return &list, nil
	}
	if err := d.start(); err != nil {
		return nil, err
	}
	return d, nil
}

func parseDenyList(data []byte) (map[string]struct{}, error) {
	list := make(map[string]struct{})
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		text := string(bytes.TrimSpace(line))
		if text == "" {
			continue
		}
		what, digits, _ := strings.Cut(text, ":")
		digits = strings.ReplaceAll(digits, ":", "")
		if what == "serial" && len(digits)%2 == 1 { // a number, which others write without zeros
			digits = "0" + digits
		}
		value, err := hex.DecodeString(digits)
		if err != nil || len(value) == 0 {
			return nil, fmt.Errorf("line %d: %.80q: expected serial:, sha256: or spki: and hexadecimal digits", number, text)
		}
		switch what {
		case "serial":
			value = bytes.TrimLeft(value, "\x00")
		case "sha256", "spki":
			if len(value) != sha256.Size {
				return nil, fmt.Errorf("line %d: %d bytes are no SHA-256", number, len(value))
			}
		default:
			return nil, fmt.Errorf("line %d: %.80q: neither serial, sha256 nor spki", number, text)
		}
		list[what+string(value)] = struct{}{}
		if len(list) > maxDenyEntries {
			return nil, fmt.Errorf("more than %d entries", maxDenyEntries)
		}
	}
	return list, nil
}

// Accept implements [Peers].
func (d *Denied) Accept(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("pki: there is no certificate to judge")
	}
	list := *d.now.Load()
	if len(list) == 0 {
		return nil
	}
	for _, c := range chain {
		_, serial := list["serial"+string(c.SerialNumber.Bytes())]
		whole, key := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
		_, cert := list["sha256"+string(whole[:])]
		_, spki := list["spki"+string(key[:])]
		if serial || cert || spki {
			return fmt.Errorf("pki: the certificate of %q with serial number %x is on the deny-list", c.Subject, c.SerialNumber)
		}
	}
	return nil
}
