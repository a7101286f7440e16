package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Config says where the record goes. Brokers and Topic are required, and so is
// TLS in Options unless AllowPlaintext is set.
type Config struct {
	Brokers []string // host:port of brokers to start from; the cluster names the rest
	// Topic takes the record. It must exist, unless Options allow the client to have
	// it created. Its min.insync.replicas says on how many machines a record is when
	// it counts as delivered.
	Topic  string
	Format audit.Format // nil is audit.JSON
	// Options are those of the client: kgo.DialTLSConfig, kgo.SASL, kgo.ClientID,
	// timeouts, hooks. They apply to each client in turn: after an error the next
	// delivery makes a new one. Set kgo.ProducerBatchMaxBytes to max.message.bytes of
	// the topic where that is not Kafka's default of 1,000,012.
	//
	// [New] refuses those that break what a destination promises: fewer
	// acknowledgements than all, no idempotence, a transaction, consuming. Brokers,
	// topic, partitioner, linger, flushing and buffer limits are set by this package,
	// whatever Options say.
	Options []kgo.Opt
	// AllowPlaintext does without kgo.DialTLSConfig: the record, and a SASL password,
	// cross the network unencrypted, unless a kgo.Dialer in Options sees to it.
	AllowPlaintext bool
}

// maxGroup bounds how many records are in flight, and so the client's memory.
const maxGroup = 1000

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// A Destination writes records to a topic. It is not safe for concurrent use, as
// its interface says.
type Destination struct {
	config Config
	client *kgo.Client // nil after an error, until the next delivery
	fresh  bool        // the client has not been acknowledged anything yet
	limit  int         // bytes of a group of records that fit one batch of Kafka's
	dialer dial        // of Options, with TLS
	gate   gate
	last   trouble
}

var _ audit.Destination = (*Destination)(nil)

// New returns a destination, without connecting to it yet. Its errors name the
// fields of the Config at fault, all of them at once.
func New(c Config) (*Destination, error) {
	var faults []error
	if len(c.Brokers) == 0 {
		faults = append(faults, errors.New("kafka.Config.Brokers: none: name at least one as host:port"))
	}
	if !topicName.MatchString(c.Topic) || c.Topic == "." || c.Topic == ".." {
		faults = append(faults, fmt.Errorf("kafka.Config.Topic: %q is no name of a topic: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'", c.Topic))
	}
	if c.Format == nil {
		c.Format = audit.JSON
	}
	for i, o := range c.Options {
		if o == nil {
			return nil, errors.Join(append(faults, fmt.Errorf("kafka.Config.Options[%d]: nil", i))...)
		}
	}
	d := &Destination{config: c}
	client, err := d.newClient() // to judge the options by; it never connects
	if err != nil {
		return nil, errors.Join(append(faults, fmt.Errorf("kafka.Config: %w", err))...)
	}
	defer client.Close()
	faults = append(faults, refused(client, c.AllowPlaintext)...)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	fits, _ := client.OptValue(kgo.ProducerBatchMaxBytesFn).(func(string) int32)
	d.limit = int(fits(c.Topic))
	d.dialer, _ = client.OptValue(kgo.Dialer).(dial)
	return d, nil
}

// Format writes where the record goes, whatever the verb: a password in Options
// cannot get into a log.
func (d *Destination) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "kafka topic %q", d.config.Topic)
}

// newClient makes a client, which connects when it is first used.
func (d *Destination) newClient() (*kgo.Client, error) {
	brokers := d.config.Brokers
	if len(brokers) == 0 {
		brokers = []string{"localhost"} // to judge the other options; New refuses it
	}
	options := append(slices.Clone(d.config.Options),
		kgo.SeedBrokers(brokers...),
		kgo.DefaultProduceTopic(d.config.Topic),
		// The partitioner of Kafka's own clients: a key's partition is theirs too.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// A group goes out when it is complete, as one batch: see Deliver.
		kgo.ManualFlushing(),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(maxGroup),
		kgo.MaxBufferedBytes(0),
		kgo.WithHooks(&d.last),
	)
	if d.dialer != nil {
		options = append(options, kgo.DialTLSConfig(nil), kgo.Dialer(d.gate.behind(d.dialer)))
	}
	return kgo.NewClient(options...)
}

// drop gives up the client and all it still has in flight.
func (d *Destination) drop() {
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
}

// Close gives up what is in flight and closes the connections.
func (d *Destination) Close() error {
	d.drop()
	return nil
}

// refused lists the options that New does not accept.
func refused(client *kgo.Client, allowPlaintext bool) []error {
	var faults []error
	refuse := func(why string) { faults = append(faults, errors.New("kafka.Config.Options: "+why)) }
	option := client.OptValue
	if off, _ := option(kgo.DisableIdempotentWrite).(bool); off {
		refuse("DisableIdempotentWrite: a retry could store records twice and out of order: leave it out")
	}
	if acks, _ := option(kgo.RequiredAcks).(kgo.Acks); acks != kgo.AllISRAcks() {
		refuse("RequiredAcks: a record counts as delivered when all in-sync replicas have it: leave it out")
	}
	if id := client.OptValues(kgo.TransactionalID); len(id) == 2 && id[1] == true {
		refuse("TransactionalID: records are not sent in transactions: leave it out")
	}
	topics := len(client.GetConsumeTopics())
	group, _ := option(kgo.ConsumerGroup).(string)
	share, _ := option(kgo.ShareGroup).(string)
	if regex, _ := option(kgo.ConsumeRegex).(bool); topics > 0 || regex || group != "" || share != "" {
		refuse("this client only writes: leave out what is for consumers")
	}
	config, _ := option(kgo.DialTLSConfig).(*tls.Config)
	switch {
	case config == nil && !allowPlaintext:
		refuse("no TLS: add kgo.DialTLSConfig; set AllowPlaintext where the network is trusted or a kgo.Dialer encrypts")
	case config != nil && config.MinVersion != 0 && config.MinVersion < tls.VersionTLS12:
		refuse("DialTLSConfig: MinVersion is below TLS 1.2: leave it out")
	}
	return faults
}
