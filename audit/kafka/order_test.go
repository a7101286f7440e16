package kafka

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What the client can settle by itself within the time it has: every record is
// stored once and in order, also where the broker stored it and said it did not.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]kfake.Fault{
		"another broker leads":         {{Err: kerr.NotLeaderForPartition, Count: 3}},
		"too few replicas":             {{Err: kerr.NotEnoughReplicas, Count: 3}},
		"stored, not replicated":       {{Err: kerr.NotEnoughReplicasAfterAppend, Count: 2}},
		"stored, answer too late":      {{Err: kerr.RequestTimedOut, Count: 2}},
		"broker forgot the producer":   {{Err: kerr.UnknownProducerID, Count: 1}},
		"broker still loads its state": {{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: 2}},
		"one after another":            {{Err: kerr.NotLeaderForPartition}, {Err: kerr.RequestTimedOut}, {Err: kerr.NotEnoughReplicas}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, kfake.SeedTopics(1, topic))
			d := to(t, c)
			total := 0
			for i := range faults {
				if faults[i].Keys == nil {
					faults[i].Keys = []kmsg.Key{kmsg.Produce}
				}
				total += max(faults[i].Count, 1)
			}
			hits := c.Fault(faults...)
			all := records("o", 0, 1200)
			if rejected := deliver(t, d, all); rejected != nil {
				t.Fatalf("rejected %v", rejected)
			}
			if hits.Hits() != total {
				t.Fatalf("%d of %d faults happened", hits.Hits(), total)
			}
			stored(t, c, all, false)
		})
	}
}

func TestConnectionCutInTheMiddle(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic))
	d := to(t, c)
	produced := 0
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produced++
		return nil, errors.New("cut"), produced == 2 || produced == 3
	})
	all := records("o", 0, 2500)
	deliver(t, d, all)
	stored(t, c, all, false)
	if produced < 4 {
		t.Fatalf("%d requests, none was cut", produced)
	}
}

// eager makes the client send what it has of a group, and waits whether brokers
// hear of it.
type eager struct {
	seq   string
	flush func()
	heard chan struct{}
	once  sync.Once
	early bool
}

func (e *eager) OnProduceRecordBuffered(r *kgo.Record) {
	if header(r, headerID) != e.seq {
		return
	}
	e.once.Do(func() {
		go e.flush()
		select {
		case <-e.heard:
			e.early = true
		case <-time.After(100 * time.Millisecond):
		}
	})
}

// Were the beginning of a group refused before the rest is handed over, the rest
// would be stored before it.
func TestNothingIsSentBeforeAGroupIsComplete(t *testing.T) {
	t.Parallel()
	c := start(t)
	if err := c.CreateTopic(topic, 1, map[string]string{"max.message.bytes": "4000"}); err != nil {
		t.Fatal(err)
	}
	e := &eager{seq: "o:20", heard: make(chan struct{}, 100)}
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if len(r.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records) > 1000 {
			e.heard <- struct{}{}
		}
		return nil, nil, false
	})
	d := to(t, c, kgo.WithHooks(e))
	e.flush = func() { _ = d.client.Flush(t.Context()) }
	all := records("o", 0, 1)
	for i := 1; i < 50; i++ {
		all = append(all, record("o", i, noise(300)))
	}
	deliver(t, d, all)
	if e.early {
		t.Error("a broker got part of a group")
	}
	stored(t, c, all, false)
}
