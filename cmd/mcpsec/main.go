// Command mcpsec is the command line of the mcpsec library: it explains refusal
// codes and looks at the environment a server is started in.
//
// Every sub-command lives in a file of its own and is listed once, in root.go. It
// writes its result to standard output, as text or with --json as JSON, and
// returns an error that becomes one line on standard error. It tells a usage error
// from a failed check by its exit code, so that scripts need not read text.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

//go:generate go run . explain --markdown -o ../../docs/codes.md

func main() {
	os.Exit(start())
}

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks a command to end; a second one ends it.
	defer context.AfterFunc(ctx, stop)()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
