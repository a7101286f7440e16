package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mcpsec/mcpsec-go/attest/cosign/keyfile"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// maxPassphrase bounds a passphrase, in bytes.
const maxPassphrase = 4096

func addPassphraseFile(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "passphrase-file", "", "read the passphrase from this file, which is yours alone (0600), instead of the terminal")
}

// passphrase returns where the passphrase of a key comes from: a file, or the terminal.
func passphrase(cmd *cobra.Command, path string) keyfile.Password {
	return func() ([]byte, error) {
		if path != "" {
			return filedPassphrase(path)
		}
		return ask(cmd, "passphrase of the key: ")
	}
}

// newPassphrase returns the passphrase of a key that is made.
func newPassphrase(cmd *cobra.Command, path string) (phrase []byte, err error) {
	if path != "" {
		phrase, err = filedPassphrase(path)
	} else {
		phrase, err = askTwice(cmd)
	}
	if err == nil && utf8.RuneCount(phrase) < minPassphrase {
		clear(phrase)
		return nil, fmt.Errorf("the passphrase has less than %d characters", minPassphrase)
	}
	return phrase, err
}

func filedPassphrase(path string) ([]byte, error) {
	data, err := regular.ReadSecret(path, maxPassphrase)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")), nil
}

func askTwice(cmd *cobra.Command) ([]byte, error) {
	first, err := ask(cmd, "passphrase for the new key: ")
	if err != nil {
		return nil, err
	}
	again, err := ask(cmd, "the same again: ")
	defer clear(again)
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passphrases differ")
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	return first, nil
}

// ask reads a line on the terminal without showing it. An interrupt gives the terminal
// back as it was.
func ask(cmd *cobra.Command, prompt string) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !interactive(in) {
		return nil, errors.New("there is no terminal to ask for the passphrase: give --passphrase-file")
	}
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("asking for the passphrase: %w", err)
	}
	if _, err := fmt.Fprint(cmd.ErrOrStderr(), prompt); err != nil {
		return nil, fmt.Errorf("asking for the passphrase: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // it ends with the answer, or with the process
		line, err := term.ReadPassword(int(in.Fd()))
		answers <- answer{line, err}
	}()
	ctx := cmd.Context()
	select {
	case a := <-answers:
		_, err := fmt.Fprintln(cmd.ErrOrStderr())
		return a.line, errors.Join(a.err, err)
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(int(in.Fd()), state))
	}
}
