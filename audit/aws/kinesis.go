package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Limits of PutRecords. A stream takes records of 1 MiB unless it was told to take
// up to ten times that (UpdateMaxRecordSize).
const (
	kinesisRecords      = 500
	kinesisRequest      = 10 << 20 // with partition keys
	kinesisRecord       = 1 << 20
	kinesisLargest      = 10 << 20
	kinesisPartitionKey = 256
)

// KinesisConfig configures [NewKinesis].
type KinesisConfig struct {
	// Stream is the name of a data stream, or its ARN if it belongs to another
	// account. It must exist.
	Stream string
	// MaxRecord is how many bytes the stream takes in one record, partition key
	// included: from 1 MiB, which is also what zero stands for, to 10 MiB.
	MaxRecord int
	// Format is the language of the messages; nil is [audit.JSON].
	Format audit.Format
}

// Kinesis is an [audit.Destination] that puts one message in each record of a
// Kinesis data stream. Its methods are for one goroutine at a time.
type Kinesis struct {
	sender
	service *kinesis.Client
	stream  *string
	arn     *string
}

var _ audit.Destination = (*Kinesis)(nil)

var (
	kinesisName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	kinesisARN  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$`)
)

// NewKinesis returns a destination that writes to a data stream. The credentials
// need kinesis:PutRecords on the stream and nothing else.
//
// The partition key of a record is the ledger's origin, so that a ledger stays in
// one shard (1,000 records and 1 MB a second). Kinesis keeps no order within a
// request in which it refuses a record for the moment: readers order by the seq
// that each record holds, and drop what they have of an origin and seq already.
func NewKinesis(config awssdk.Config, to KinesisConfig) (*Kinesis, error) {
	config, base, faults := harden(config)
	k := &Kinesis{}
	switch {
	case kinesisARN.MatchString(to.Stream):
		k.arn = &to.Stream
	case kinesisName.MatchString(to.Stream):
		k.stream = &to.Stream
	default:
		faults = append(faults, errors.New("KinesisConfig.Stream: need the name or ARN of a data stream"))
	}
	if to.MaxRecord == 0 {
		to.MaxRecord = kinesisRecord
	}
	if to.MaxRecord < kinesisRecord || to.MaxRecord > kinesisLargest {
		faults = append(faults, fmt.Errorf("KinesisConfig.MaxRecord: %d is not between %d and %d", to.MaxRecord, kinesisRecord, kinesisLargest))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("audit/aws: Kinesis: %w", errors.Join(faults...))
	}
	k.service = kinesis.NewFromConfig(config)
	k.sender = base
	k.what, k.format = fmt.Sprintf("Kinesis PutRecords to %q", to.Stream), orJSON(to.Format)
	k.limits = limits{entries: kinesisRecords, bytes: kinesisRequest, entry: to.MaxRecord}
	k.prepare, k.put = k.entry, k.request
	return k, nil
}

func orJSON(f audit.Format) audit.Format {
	if f == nil {
		return audit.JSON
	}
	return f
}

func (k *Kinesis) entry(r *audit.Record) (entry, string) {
	data, unfit := k.message(r)
	return entry{data: data, key: partitionKey(r.Origin)}, unfit
}

// partitionKey is the origin as far as it fits. Ledgers whose keys are equal share
// a shard; nothing else follows from it.
func partitionKey(origin string) string {
	key := cut(strings.ToValidUTF8(origin, "?"), kinesisPartitionKey)
	if key == "" {
		return "mcpsec"
	}
	return key
}

func (k *Kinesis) request(ctx context.Context, batch []entry) ([]answer, error) {
	records := make([]types.PutRecordsRequestEntry, len(batch))
	for i := range batch {
		records[i] = types.PutRecordsRequestEntry{Data: batch[i].data, PartitionKey: &batch[i].key}
	}
	out, err := k.service.PutRecords(ctx, &kinesis.PutRecordsInput{Records: records, StreamName: k.stream, StreamARN: k.arn})
	if err != nil {
		return nil, err
	}
	answers, failed := make([]answer, len(out.Records)), int32(0)
	for i, r := range out.Records {
		switch {
		case awssdk.ToString(r.ErrorCode) != "":
			answers[i].again = *r.ErrorCode
			failed++
		case awssdk.ToString(r.SequenceNumber) == "":
			return nil, unreadable("a record has neither number nor error")
		default:
			answers[i].taken = true
		}
	}
	if out.FailedRecordCount == nil || *out.FailedRecordCount != failed {
		return nil, unreadable("%d records have an error, but it counts otherwise", failed)
	}
	return answers, nil
}
