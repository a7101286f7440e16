package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the server that the demonstration starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "-serve" || os.Args[1] == "-pin") {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestEveryScene(t *testing.T) {
	var out bytes.Buffer
	if err := demonstrate(t.Context(), &printer{w: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"guard.unknown_tool", "allowlist.denied", "ratelimit.exceeded", "creds.not_bound",
		"attest.definition_mismatch", "Every scene ended as it should.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the account lacks %q", want)
		}
	}
	for _, never := range []string{"a key that no model ever sees", "\x1b["} {
		if strings.Contains(out.String(), never) {
			t.Errorf("the account holds %q", never)
		}
	}
}

// A control that is left out must fail the demonstration: scenes that cannot fail
// would prove nothing.
func TestASceneThatIsNotRefusedFails(t *testing.T) {
	var out bytes.Buffer
	s := &stage{ctx: t.Context(), dir: layout(t.TempDir()), out: &printer{w: &out}}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	if err := s.refused("read_note", named{"welcome.txt"}, "allowlist.denied"); err == nil {
		t.Error("an allowed call counted as refused")
	}
	if err := s.refused("delete_note", named{"welcome.txt"}, "creds.not_bound"); err == nil {
		t.Error("a refusal with another code counted")
	}
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if newPrinter(w).colours {
		t.Error("colours into a pipe")
	}
}
