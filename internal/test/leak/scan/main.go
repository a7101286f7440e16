// Command scan reads the output of tests from standard input and looks for secrets in
// it: those that the tests of the credential providers use, and whatever gitleaks takes for
// one.
//
//	go test -v ./creds/... 2>&1 | go run ./internal/test/leak/scan -gitleaks .cache/oracles/gitleaks
//
// The exit code is 1 if there is a secret, or if a test failed or none ran.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/internal/test/leak"
)

// known are the secrets of those tests, which are in no name of a test.
var known = map[string]string{
	"keys of the fake AWS":         fakeaws.Keys.SecretAccessKey,
	"session of the fake AWS":      fakeaws.Keys.SessionToken,
	"user keys of the fake AWS":    fakeaws.UserKeys.SecretAccessKey,
	"canary of creds/aws/secrets":  "CANARY-correct-horse",
	"canary of creds/child":        "CANARYcorrecthorse",
	"canary of creds/vault":        "hunter2-canary-7c1f",
	"canary of creds/oauth":        "hunter2-canary-9d2e",
	"canary of creds/bindings":     "hunter2-canary-b1d5",
	"private key":                  "PRIVATE KEY-----",
	"identity of age":              "AGE-SECRET-KEY-1",
	"canary of cmd/mcpsec (creds)": "hunter2-canary-c11a",
}

// public are the ids of access keys, which services and records name.
func public(text string) bool {
	return text == fakeaws.Keys.AccessKeyID || text == fakeaws.UserKeys.AccessKeyID
}

// maxOutput bounds what is read, in bytes.
const maxOutput = 256 << 20

func main() {
	gitleaks := flag.String("gitleaks", "", "path of the `program` gitleaks; required")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *gitleaks); err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, gitleaks string) error {
	if gitleaks == "" {
		return errors.New("-gitleaks is missing: build it with make oracles")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxOutput+1))
	if err != nil {
		return err
	}
	if len(text) > maxOutput {
		return fmt.Errorf("more than %d bytes", maxOutput)
	}
	if !bytes.Contains(text, []byte("\nok  \t")) || bytes.Contains(text, []byte("\nFAIL")) {
		return errors.New("the input is no output of go test in which tests ran and none failed")
	}
	var s leak.Scanner
	for name, secret := range known {
		if err := s.Add(name, secret); err != nil {
			return err
		}
	}
	found := s.Scan("output", text)
	dir, err := os.MkdirTemp("", "scan")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "output.txt"), text, 0o600); err != nil {
		return err
	}
	program, err := filepath.Abs(gitleaks)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	more, err := leak.Gitleaks(ctx, program, dir, public)
	if err != nil {
		return err
	}
	for _, f := range append(found, more...) {
		_, _ = fmt.Fprintln(out, f)
	}
	if n := len(found) + len(more); n > 0 {
		return fmt.Errorf("%d secrets in %d bytes of output", n, len(text))
	}
	_, err = fmt.Fprintf(out, "no secret in %d bytes of output\n", len(text))
	return err
}
