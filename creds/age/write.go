package age

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"filippo.io/age"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A Recipient is for whom a file is encrypted. Make one with [PublicKey] or
// [WithPassphrase]; the zero value is refused.
type Recipient struct {
	to    func() age.Recipient // a closure, because fmt prints the passphrase of a field
	fault error
}

func recipient(to age.Recipient) Recipient {
	return Recipient{to: func() age.Recipient { return to }}
}

// PublicKey is who has the identity of a public key, "age1...".
func PublicKey(key string) Recipient {
	if r, err := age.ParseX25519Recipient(key); err == nil {
		return recipient(r)
	}
	if r, err := age.ParseHybridRecipient(key); err == nil {
		return recipient(r)
	}
	return Recipient{fault: errors.New("the recipient is not a public key of age-keygen, which begins with age1")}
}

// WithPassphrase is who knows a passphrase. It is then the only recipient.
func WithPassphrase(passphrase creds.Value) Recipient {
	text := passphrase.Reveal()
	defer clear(text)
	r, err := age.NewScryptRecipient(string(text))
	if err != nil {
		return Recipient{fault: errors.New("the passphrase is empty")}
	}
	r.SetWorkFactor(maxWork)
	return recipient(r)
}

// Write encrypts secrets for the recipients into a file of mode 0600, in place of what
// was there. It returns once the file would survive a loss of power; until then, and
// after an error, the old one stands. Of several writers at once the last one stays.
func Write(path string, secrets map[string]creds.Value, to ...Recipient) error {
	all := make(map[string]string, len(secrets)) // copies that cannot be overwritten
	for name, value := range secrets {
		text := value.Reveal()
		ok := utf8.Valid(text)
		all[name] = string(text)
		clear(text)
		switch {
		case !names.MatchString(name):
			return fmt.Errorf("age: secret %.80q: a name has 1 to 64 of A-Z a-z 0-9 _ . -", name)
		case all[name] == "":
			return fmt.Errorf("age: secret %q is empty", name)
		case !ok:
			return fmt.Errorf("age: secret %q is not UTF-8: encode it, or give it a file of its own", name)
		}
	}
	var content bytes.Buffer
	enc := json.NewEncoder(&content)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("age: encoding the secrets: a %T", err)
	}
	defer func() { clear(content.Bytes()) }()
	sealed, err := seal(content.Bytes(), to)
	if err != nil {
		return fmt.Errorf("age: %s: %w", path, err)
	}
	if err := regular.Replace(path, sealed, 0o600); err != nil {
		return fmt.Errorf("age: %w", err)
	}
	return nil
}

func seal(content []byte, to []Recipient) ([]byte, error) {
	if len(to) == 0 || len(to) > 20 {
		return nil, fmt.Errorf("%d recipients: give 1 to 20", len(to))
	}
	recipients := make([]age.Recipient, len(to))
	for i, r := range to {
		if r.fault != nil {
			return nil, r.fault
		}
		if r.to == nil {
			return nil, errors.New("a recipient is missing")
		}
		recipients[i] = r.to()
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if sealed.Len() > MaxFile {
		return nil, fmt.Errorf("the file would be larger than %d bytes", MaxFile)
	}
	return sealed.Bytes(), nil
}
