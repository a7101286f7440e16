// Quickstart shows what a guarded MCP server lets pass and what it refuses. See
// README.md beside this file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	serveDir := flags.String("serve", "", "run as the notes server on the data in `DIR` (what the demonstration starts)")
	pinDir := flags.String("pin", "", "write the manifest of the notes server, not signed yet, to `DIR` and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	switch {
	case *pinDir != "":
		return pin(layout(*pinDir))
	case *serveDir != "":
		return serve(ctx, layout(*serveDir))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return demonstrate(ctx, newPrinter(os.Stdout))
}

// layout is the folder the demonstration works in.
type layout string

func (l layout) notes() string     { return filepath.Join(string(l), "notes") }
func (l layout) audit() string     { return filepath.Join(string(l), "audit") }
func (l layout) statement() string { return filepath.Join(string(l), "manifest.json") }
func (l layout) manifest() string  { return filepath.Join(string(l), "manifest.sigstore.json") }
func (l layout) release() string   { return filepath.Join(string(l), "release.pub") }
func (l layout) key() string       { return filepath.Join(string(l), "backup.key") }
