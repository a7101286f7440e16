// Package kafka keeps the record in a Kafka topic as well, where whoever breaks
// into the server cannot change it.
//
//	destination, err := kafka.New(kafka.Config{
//		Brokers: []string{"kafka-1.example:9093"},
//		Topic:   "mcp-audit",
//		Options: []kgo.Opt{
//			kgo.DialTLSConfig(&tls.Config{Certificates: certificates}),
//			kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()),
//		},
//	})
//
// The destination is then run over a ledger: see [audit.Destination].
//
// # What is written
//
// Each record is one message: its key is the origin, its value what the format
// makes of it, its header "id" is [audit.Record.ID] and its header "content-type"
// the format's media type. Checkpoints are messages of their own. The timestamp is
// that of the delivery, not of the event, so that a topic's retention does not drop
// what was held up by a long outage.
//
// # What it promises
//
// A record counts as delivered when all in-sync replicas have acknowledged it
// (acks=all); how many those are is the topic's min.insync.replicas. Nothing is
// skipped: a record is acknowledged, or named as rejected because it is larger than
// the topic takes or cannot be written in the format, or Deliver returns an error
// and it comes again.
//
// The records of one origin are in one partition and in order, as long as the
// number of partitions stays the same. The client tries again by itself what may
// pass (another leader, too few replicas), with an idempotent producer, so that this
// stores nothing twice. After an error a new client sends the same records again:
// some may then be there twice, and late ones of the first try between the new
// ones. Whoever reads the topic drops ids it has seen, and what is left is in order.
//
// # What it does not stop
//
// Records that were forged or left out before they got here: that is what the
// ledger's hashes and checkpoints show, and they are in the messages. Deletion by
// those who administer the cluster, or may write to the topic under the same
// origin: give the server's user no right but Write and Describe on this topic, and
// nobody else Write.
//
// Loss by the topic's configuration: what is past its retention is gone. A topic
// with cleanup.policy=compact, which keeps the last message of each origin only, is
// refused where the server's user may DescribeConfigs; without that right nobody
// notices.
package kafka
