package kafka_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/kafka"
)

// What a ledger's shipper does, with a broker in this process.
func ExampleNew() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "mcp-audit"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()

	destination, err := kafka.New(kafka.Config{
		Brokers:        cluster.ListenAddrs(),
		Topic:          "mcp-audit",
		AllowPlaintext: true, // this process only; see kgo.DialTLSConfig
		Options:        []kgo.Opt{kgo.ClientID("files.example")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer destination.Close()

	rejected, err := destination.Deliver(context.Background(), []audit.Record{
		{Origin: "files.example", Seq: 0, Line: []byte(`{"seq":0,"event":"attempt"}`)},
		{Origin: "files.example", Seq: 1, Line: []byte(`{"seq":1,"event":"outcome"}`)},
	})
	fmt.Println("rejected:", len(rejected), "error:", err)

	consumer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("mcp-audit"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer consumer.Close()
	for read := 0; read < 2; {
		consumer.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			fmt.Printf("%s %s\n", r.Headers[0].Value, r.Value)
			read++
		})
	}
	// Output:
	// rejected: 0 error: <nil>
	// files.example:0 {"seq":0,"event":"attempt"}
	// files.example:1 {"seq":1,"event":"outcome"}
}

// Faults of a configuration are named all at once.
func ExampleConfig() {
	_, err := kafka.New(kafka.Config{
		Topic:   "mcp audit",
		Options: []kgo.Opt{kgo.DisableIdempotentWrite()},
	})
	fmt.Println(err)
	// Output:
	// kafka.Config.Brokers: none: name at least one as host:port
	// kafka.Config.Topic: "mcp audit" is no name of a topic: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'
	// kafka.Config.Options: DisableIdempotentWrite: a retry could store records twice and out of order: leave it out
	// kafka.Config.Options: no TLS: add kgo.DialTLSConfig; set AllowPlaintext where the network is trusted or a kgo.Dialer encrypts
}
