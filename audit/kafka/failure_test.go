package kafka

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

func TestBrokerDownThenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := strconv.Atoi(oracle.Port(t)) // and has it still after it was down
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, kfake.SeedTopics(1, topic), kfake.Ports(port), kfake.DataDir(dir))
	d := to(t, c)
	all := records("o", 0, 2000)
	deliver(t, d, all[:500])

	c.Close()
	for range 2 {
		err := failsOver(t, d, "refused", all[500:1500])
		if !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), topic) {
			t.Errorf("says neither why nor for which topic: %v", err)
		}
	}
	c = start(t, kfake.Ports(port), kfake.DataDir(dir))
	deliver(t, d, all[500:1500])
	deliver(t, d, all[1500:])
	stored(t, c, all, true)
}

// A broker that takes requests and never answers holds a delivery no longer than
// its context, and what it stores later does not disturb the order.
func TestBrokerHangs(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic))
	d := to(t, c)
	all := records("o", 0, 1500)
	deliver(t, d, all[:10])
	hang, done := make(chan struct{}), make(chan struct{})
	var hangs atomic.Bool
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if hangs.CompareAndSwap(false, true) {
			c.SleepControl(func() { <-hang })
			close(done)
		}
		return nil, nil, false
	})
	for !hangs.Load() { // the time can be over before the broker has the request
		err := fails(t, d, 300*time.Millisecond, all[10:])
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("want the deadline, got %v", err)
		}
		if d.client != nil {
			t.Error("what hangs is still waiting to be sent")
		}
	}
	close(hang)
	<-done
	deliver(t, d, all[10:])
	stored(t, c, all, true)
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic))
	d := to(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Deliver(ctx, records("o", 0, 10)); !errors.Is(err, context.Canceled) {
		t.Fatalf("want cancelled, got %v", err)
	}
	deliver(t, d, records("o", 0, 10))
	stored(t, c, records("o", 0, 10), true)
}

func TestTopicMissingThenCreated(t *testing.T) {
	t.Parallel()
	c := start(t)
	d := to(t, c)
	all := records("o", 0, 50)
	err := fails(t, d, patience/2, all)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "create the topic") {
		t.Errorf("no remedy: %v", err)
	}
	if err := c.CreateTopic(topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	deliver(t, d, all)
	stored(t, c, all, false)
}

func TestTopicDeletedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic))
	d := to(t, c)
	deliver(t, d, records("o", 0, 10))
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	all := records("o", 10, 30)
	_ = fails(t, d, patience/2, all)
	if err := c.CreateTopic(topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	deliver(t, d, all)
	stored(t, c, all, false)
}

// Errors that end a client for good are over when their cause is.
func TestRightsTakenThenGiven(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  kfake.Fault
		remedy string
	}{
		"no right to the topic":   {kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1}, "Write the topic"},
		"no right to the cluster": {kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.ClusterAuthorizationFailed, Count: -1}, "IdempotentWrite"},
		"records of a bad form":   {kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: -1}, "rule"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, kfake.SeedTopics(1, topic))
			d := to(t, c)
			fault := c.Fault(test.fault)
			all := records("o", 0, 20)
			err := fails(t, d, patience/2, all)
			if !strings.Contains(err.Error(), test.remedy) || !errors.Is(err, test.fault.Err) {
				t.Errorf("no remedy: %v", err)
			}
			fault.Remove()
			deliver(t, d, all)
			stored(t, c, all, false)
		})
	}
}

// Compaction keeps the last message of a key: of the whole record that is one.
func TestTopicThatIsCompacted(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"compact", "compact,delete"} {
		c := start(t)
		if err := c.CreateTopic(topic, 1, map[string]string{"cleanup.policy": policy}); err != nil {
			t.Fatal(err)
		}
		d := to(t, c)
		if err := fails(t, d, patience/2, records("o", 0, 2)); !strings.Contains(err.Error(), "cleanup.policy") {
			t.Errorf("%s: %v", policy, err)
		}
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		deliver(t, d, records("o", 0, 2)) // who may not ask does not know
	}
}

// A client that is held to a protocol without producer ids would go on without
// idempotence, and say so in its log only.
func TestNoProducerIDs(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic), kfake.MaxVersions(kversion.V0_10_2()))
	d := to(t, c)
	if err := fails(t, d, patience/2, records("o", 0, 2)); !strings.Contains(err.Error(), "Kafka 0.11") {
		t.Error(err)
	}
}
