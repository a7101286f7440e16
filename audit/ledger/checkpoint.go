package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	// signTimeout bounds how long a slow signer holds up the log.
	signTimeout = 2 * time.Second
	// signPause is how long a signer that failed is left alone.
	signPause = 30 * time.Second
)

// A signing asks a key to sign. At most one question is open at a time: a signer
// that hangs is left behind once, and not asked again before it has answered.
type signing struct {
	key     *Key
	timeout time.Duration
	late    <-chan signature // of the question that was left behind
}

type signature struct {
	text []byte
	err  error
}

func (s *signing) head(h head) (text string, err error) {
	if s.late != nil {
		select {
		case <-s.late: // too late: of an older tree
			s.late = nil
		default:
			return "", errors.New("the signer has still not answered")
		}
	}
	answers := make(chan signature, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answers <- signature{nil, fmt.Errorf("the signer panicked with a %T", p)}
			}
		}()
		text, err := note.Sign(&note.Note{Text: h.text()}, s.key)
		if err == nil {
			if _, err = openHead(string(text), []note.Verifier{s.key.Verifier()}); err != nil {
				err = errors.New("the signer's signature is wrong") // and would spoil the log
			}
		}
		answers <- signature{text, err}
	}()
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	select {
	case a := <-answers:
		return string(a.text), a.err
	case <-timer.C:
		s.late = answers
		return "", fmt.Errorf("the signer has not answered for %v", s.timeout)
	}
}

// openHead verifies a checkpoint.
func openHead(text string, keys []note.Verifier) (head, error) {
	n, err := note.Open([]byte(text), keyring(keys))
	if err != nil {
		if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
			return head{}, errors.New("the checkpoint is signed by another key")
		}
		return head{}, fmt.Errorf("the checkpoint's signature is wrong: %w", err)
	}
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return head{}, fmt.Errorf("the checkpoint's signature is wrong: %w", err)
		}
	}
	return parseHead(n.Text)
}

// A keyring finds keys by name. That one is named twice, as a file of public keys
// does after a change of keys was taken back, is no fault.
type keyring []note.Verifier

func (k keyring) Verifier(name string, hash uint32) (note.Verifier, error) {
	var same anyKey
	for _, v := range k {
		if v.Name() == name && v.KeyHash() == hash {
			same = append(same, v)
		}
	}
	if same == nil {
		return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
	}
	return same, nil
}

// An anyKey is keys of one name and hash.
type anyKey []note.Verifier

func (k anyKey) Name() string    { return k[0].Name() }
func (k anyKey) KeyHash() uint32 { return k[0].KeyHash() }
func (k anyKey) Verify(msg, sig []byte) bool {
	return slices.ContainsFunc(k, func(v note.Verifier) bool { return v.Verify(msg, sig) })
}
