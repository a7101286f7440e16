package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// A link runs scripts on the node that holds the keys: each once, within a budget
// of time, and not at all while the breaker is open.
type link struct {
	single  *goredis.Client        // a server, or what Sentinel says is the master
	cluster *goredis.ClusterClient // the other of the two is nil
	budget  time.Duration
	breaker *gobreaker.CircuitBreaker[struct{}]
}

// ErrDown is in the chain of every error that says Redis did not decide: it could
// not be reached in time, refused to, or the breaker is open.
var ErrDown = errors.New("redis did not decide")

// errFaulty is an answer that tells nothing of the health of the server: somebody
// else has written to a key of ours, or a script does not fit its arguments.
var errFaulty = errors.New("unusable key or answer")

func dial(client goredis.UniversalClient, c Config) (*link, error) {
	l := &link{budget: c.Timeout}
	var heeds bool
	var read, write time.Duration
	switch client := client.(type) {
	case *goredis.Client:
		if client == nil {
			return nil, errors.New("nil *redis.Client: make one with redis.NewClient")
		}
		o := client.Options()
		l.single, heeds, read, write = client, o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout
	case *goredis.ClusterClient:
		if client == nil {
			return nil, errors.New("nil *redis.ClusterClient: make one with redis.NewClusterClient")
		}
		o := client.Options()
		l.cluster, heeds, read, write = client, o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout
	case *goredis.Ring:
		return nil, errors.New("a Ring starts all limits anew on other shards when one is gone: use a Client, FailoverClient or ClusterClient")
	default:
		return nil, fmt.Errorf("a client of type %T may wait longer than it is told to: use a Client, FailoverClient or ClusterClient", client)
	}
	if !heeds {
		return nil, errors.New("the client ignores deadlines and would stall calls for seconds when Redis hangs: set ContextTimeoutEnabled in its options")
	}
	if read < 0 || write < 0 {
		return nil, errors.New("the client sets no deadlines on its connections: do not set ReadTimeout or WriteTimeout to -2")
	}
	l.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     c.OpenFor,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errFaulty) || errors.Is(err, errCaller) },
	})
	return l, nil
}

// failures in a row open the breaker. Each has cost a call its budget of time.
const failures = 3

// errCaller marks the end of the caller's own context.
var errCaller = errors.New("the call was given up")

// within runs f with a deadline. Its error is in the chain of ErrDown.
func (l *link) within(ctx context.Context, f func(ctx context.Context) error) error {
	_, err := l.breaker.Execute(func() (struct{}, error) {
		limited, cancel := context.WithTimeout(ctx, l.budget)
		defer cancel()
		err := f(limited)
		if over := ended(ctx); err != nil && over != nil {
			err = fmt.Errorf("%w: %w", errCaller, over)
		}
		return struct{}{}, err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return errOpen
	}
	return fmt.Errorf("ratelimit/redis: %w: %w", ErrDown, err)
}

// ended returns why the caller's context is over. A connection may notice that a
// moment before the context does.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Millisecond {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// errOpen is made once: it is returned often, and when time matters most.
var errOpen = fmt.Errorf("ratelimit/redis: %w: it failed %d times in a row and is left alone for a moment", ErrDown, failures)

// open reports whether the breaker lets nothing through.
func (l *link) open() bool { return l.breaker.State() == gobreaker.StateOpen }

// load makes the node that holds a key know a script.
func (l *link) load(ctx context.Context, key string, s *script) error {
	node, err := l.node(ctx, key)
	if err != nil {
		return err
	}
	return node.Process(ctx, once{goredis.NewCmd(ctx, "script", "load", s.source)})
}

// run runs a script and returns its answer, which is a list of integers.
func (l *link) run(ctx context.Context, s *script, keys []string, args []any) (*answer, error) {
	got, err := l.attempt(ctx, s, keys, args)
	if err != nil {
		for _, sign := range [...]string{"WRONGTYPE", "CORRUPT"} {
			if strings.Contains(err.Error(), sign) {
				return nil, fmt.Errorf("%w: %w", errFaulty, err)
			}
		}
		return nil, err
	}
	return decode(got)
}

func (l *link) attempt(ctx context.Context, s *script, keys []string, args []any) (any, error) {
	node, err := l.node(ctx, keys[0])
	if err != nil {
		return nil, err
	}
	answer, err := send(ctx, node, "evalsha", s.sha, keys, args)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") { // a restart, a failover, or SCRIPT FLUSH
		answer, err = send(ctx, node, "eval", s.source, keys, args)
	}
	if err != nil && l.cluster != nil && !goredis.HasErrorPrefix(err, "OOM") {
		l.cluster.ReloadState(ctx) // the slot may have moved; returns at once
	}
	return answer, err
}

// node returns the client of the node that holds a key. The cluster client itself
// is not asked to run the script: it looks up every command it does not know with
// a deadline of its own, five seconds, and under one lock.
func (l *link) node(ctx context.Context, key string) (*goredis.Client, error) {
	if l.cluster != nil {
		return l.cluster.MasterForKey(ctx, key)
	}
	return l.single, nil
}

// once is a command that is never sent twice, whatever the client's options say.
type once struct{ *goredis.Cmd }

func (once) NoRetry() bool { return true }

func send(ctx context.Context, node *goredis.Client, command, script string, keys []string, args []any) (any, error) {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, command, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := once{goredis.NewCmd(ctx, append(all, args...)...)}
	if err := node.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}
