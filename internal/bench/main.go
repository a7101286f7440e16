// Bench compares calls of the same tool without a guard, behind an empty one, and
// behind the controls of this module, in one process and one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // the process ends, and with it the signals
	}
}

const help = `Bench measures what the guard and its controls add to a tool call.

Usage:
  go run ./internal/bench [-rounds N] [-time D] [-json]

Each round measures every case once, so that the drift of the machine hits all of
them alike. The table has the medians of the rounds; what a case adds to the bare
go-sdk is compared within each round. The levels are

  direct      the chain of middleware with a raw tool, called without a connection
  dispatch    the SDK's server with a typed tool, fed with ready messages
  in memory   the SDK's client and server with a typed tool, connected in memory

In parallel, GOMAXPROCS clients call as the same principal, each over a connection
of its own; ns/op is then the time divided by the calls of all of them. The process
holds a heap of %d MiB, so that the garbage collector runs no more often than in a
server that has something to do. With the defaults a run takes about a minute.

Flags:
  -rounds N   measure every case N times (default %d)
  -time D     measure for about D each time (default %v)
  -json       print JSON instead of a table

Examples:
  go run ./internal/bench
  go run ./internal/bench -rounds 5 -time 10ms    # a first impression
  go run ./internal/bench -rounds 100             # on a busy machine
  go run ./internal/bench -json > bench.json      # for other programs
`

const (
	defaultRounds = 15
	defaultTime   = 30 * time.Millisecond
)

// options are what the command line says.
type options struct {
	rounds int
	time   time.Duration
	json   bool
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run tells
	flags.IntVar(&o.rounds, "rounds", defaultRounds, "")
	flags.DurationVar(&o.time, "time", defaultTime, "")
	flags.BoolVar(&o.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.rounds < 1:
		err = fmt.Errorf("-rounds is %d: give at least 1", o.rounds)
	case o.time <= 0:
		err = fmt.Errorf("-time is %v: give more than 0, for example 30ms", o.time)
	}
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = fmt.Fprintf(stdout, help, heap>>20, defaultRounds, defaultTime)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w (--help says more)", err)
	}
	dir, err := os.MkdirTemp("", "mcpsec-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is the system's to clean
	groups, err := measure(ctx, dir, o, progressOn(stderr))
	if err != nil {
		return err
	}
	r := newReport(o, groups)
	if o.json {
		return r.writeJSON(stdout)
	}
	return r.writeTable(stdout)
}

// progressOn returns what shows a line of progress on a terminal and nothing
// elsewhere. An empty line removes the one before.
func progressOn(w io.Writer) func(string) {
	f, ok := w.(*os.File)
	if !ok {
		return func(string) {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(string) {}
	}
	return func(line string) { _, _ = fmt.Fprint(w, "\r\x1b[K"+line) } // progress is no result
}
