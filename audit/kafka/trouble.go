package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// remedies says what the operator can do about an error of the brokers.
var remedies = []struct {
	err    error
	remedy string
}{
	{kerr.UnknownTopicOrPartition, "create the topic, or give the client's user the right to Describe it"},
	{kerr.UnknownTopicID, "the topic was deleted: create it again"},
	{kerr.TopicAuthorizationFailed, "give the client's user the rights to Describe and Write the topic"},
	{kerr.ClusterAuthorizationFailed, "give the client's user IdempotentWrite on the cluster, or Write on the topic"},
	{kerr.SaslAuthenticationFailed, "check user and password in kgo.SASL"},
	{io.EOF, "the broker hung up: check TLS and SASL in Options against its listener"},
	{kerr.NotEnoughReplicas, "fewer replicas are in sync than the topic's min.insync.replicas: see to the brokers"},
	{kerr.InvalidRecord, "the brokers check records of this topic by a rule that ours do not meet: see the topic's configuration"},
	{kerr.InvalidTimestamp, "set the clock of this machine, or look at message.timestamp settings of the topic"},
}

// explain says for which topic, what to do about it, and, where time ran out, what
// was last heard of the brokers.
func (d *Destination) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("not acknowledged in time: %w", err)
		if last := d.last.take(); last != nil {
			err = fmt.Errorf("%w; of a broker: %w", err, last)
		}
	}
	err = fmt.Errorf("kafka: topic %q: %w", d.config.Topic, err)
	for _, r := range remedies {
		if errors.Is(err, r.err) {
			return fmt.Errorf("%w (%s)", err, r.remedy)
		}
	}
	return err
}

// A trouble is a hook that remembers the last error of a connection: the client
// retries them silently until time is up.
type trouble struct {
	mu  sync.Mutex
	err error
}

var (
	_ kgo.HookBrokerConnect = (*trouble)(nil)
	_ kgo.HookBrokerE2E     = (*trouble)(nil)
)

// OnBrokerConnect is called by the client, for each attempt to connect.
func (t *trouble) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	t.note(err)
}

// OnBrokerE2E is called by the client, for each request.
func (t *trouble) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) { t.note(e2e.Err()) }

func (t *trouble) note(err error) {
	if err == nil || errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, net.ErrClosed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func (t *trouble) take() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.err
	t.err = nil
	return err
}
