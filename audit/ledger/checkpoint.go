package ledger

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	// signTimeout bounds how long a slow signer holds up the log.
	signTimeout = 2 * time.Second
	// signPause is how long a signer that failed is left alone.
	signPause = 30 * time.Second
)

// signHead signs a tree head. A signer that hangs is left behind.
func signHead(k *Key, h head) (text string, err error) {
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answers <- answer{nil, fmt.Errorf("the signer panicked with a %T", p)}
			}
		}()
		text, err := note.Sign(&note.Note{Text: h.text()}, k)
		answers <- answer{text, err}
	}()
	timer := time.NewTimer(signTimeout)
	defer timer.Stop()
	select {
	case a := <-answers:
		return string(a.text), a.err
	case <-timer.C:
		return "", fmt.Errorf("the signer has not answered for %v", signTimeout)
	}
}

// openHead verifies a checkpoint.
func openHead(text string, keys []note.Verifier) (head, error) {
	n, err := note.Open([]byte(text), note.VerifierList(keys...))
	if err != nil {
		if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
			return head{}, errors.New("the checkpoint is signed by another key")
		}
		return head{}, fmt.Errorf("the checkpoint's signature is wrong: %w", err)
	}
	return parseHead(n.Text)
}
