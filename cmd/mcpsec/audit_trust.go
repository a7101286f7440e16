package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

// auditTrust is what a ledger is compared with.
type auditTrust struct{ keys, anchors []string }

func (t *auditTrust) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&t.keys, "key", nil, "file of a public key that signs the ledger, kept elsewhere")
	cmd.Flags().StringArrayVar(&t.anchors, "anchor", nil, "file of checkpoints of this ledger, kept elsewhere: one as it is, or what audit.AnchorFile writes")
}

func (t *auditTrust) verify(ctx context.Context, dir string, errs io.Writer) (*verification, error) {
	keys, err := readKeys(t.keys)
	if err != nil {
		return nil, err
	}
	var anchors []string
	for _, path := range t.anchors {
		some, err := ledger.ReadAnchors(path)
		if err != nil {
			return nil, err
		}
		anchors = append(anchors, some...)
	}
	bar := newProgress(errs)
	r, err := ledger.Verify(ctx, dir, ledger.VerifyOptions{Keys: keys, Anchors: anchors, Progress: bar.callback()})
	bar.done()
	if err != nil {
		return nil, err
	}
	return newVerification(r, len(keys) > 0, len(anchors) > 0), nil
}

// lastCheckpoint returns the checkpoint that covers so many records. It has been
// verified: a wrong one would have been a fault.
func lastCheckpoint(ctx context.Context, dir string, size uint64) (string, error) {
	if size == 0 {
		return "", errors.New("there is no checkpoint to save yet")
	}
	s, err := ledger.Scan(dir, size-1)
	if err != nil {
		return "", err
	}
	defer s.Close() //nolint:errcheck // it only read
	for {
		l, err := s.Next()
		switch {
		case err != nil:
			return "", fmt.Errorf("the checkpoint of %d records is not there any more: %w", size, err)
		case l.Kind == ledger.Checkpoint && l.Seq == size:
			return l.Checkpoint, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
}

func readKeys(paths []string) ([]note.Verifier, error) {
	var keys []note.Verifier
	for _, path := range paths {
		some, err := ledger.ReadKeys(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, some...)
	}
	return keys, nil
}

// maxSmall bounds a proof.
const maxSmall = 4 << 20

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it only read
	text, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(text) > maxSmall {
		err = fmt.Errorf("%s has more than %d bytes: it is no proof", path, maxSmall)
	}
	return text, err
}
