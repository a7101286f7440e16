package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Limits of PutRecordBatch. With more than 500 records the service would answer
// well and take the batch apart wrongly.
const (
	firehoseRecords = 500
	firehoseRequest = 4_000_000
	firehoseRecord  = 1_024_000 // before base64, with the line end
)

// FirehoseConfig configures [NewFirehose].
type FirehoseConfig struct {
	// Stream is the name of a Firehose stream whose source is Direct PUT. It must
	// exist.
	Stream string
	// Format is the language of the messages; nil is [audit.JSON].
	Format audit.Format
}

// Firehose is an [audit.Destination] that puts one message and a line end in each
// record of an Amazon Data Firehose stream. Its methods are for one goroutine at a
// time.
type Firehose struct {
	sender
	service *firehose.Client
	stream  string
}

var _ audit.Destination = (*Firehose)(nil)

var firehoseName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// NewFirehose returns a destination that writes to a Firehose stream. The
// credentials need firehose:PutRecordBatch on the stream and nothing else.
//
// Firehose keeps no order, and what it acknowledges it holds for 24 hours while it
// cannot pass it on. Readers order by the seq that each record holds, and drop what
// they have of a seq already.
func NewFirehose(config awssdk.Config, to FirehoseConfig) (*Firehose, error) {
	config, base, faults := harden(config)
	if !firehoseName.MatchString(to.Stream) {
		faults = append(faults, errors.New("FirehoseConfig.Stream: need the name of a Firehose stream"))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("audit/aws: Firehose: %w", errors.Join(faults...))
	}
	f := &Firehose{service: firehose.NewFromConfig(config), stream: to.Stream}
	f.sender = base
	f.what, f.format = fmt.Sprintf("Firehose PutRecordBatch to %q", to.Stream), orJSON(to.Format)
	f.limits = limits{entries: firehoseRecords, bytes: firehoseRequest, entry: firehoseRecord}
	f.prepare, f.put = f.entry, f.request
	return f, nil
}

func (f *Firehose) entry(r *audit.Record) (entry, string) {
	data, unfit := f.message(r)
	return entry{data: append(data, '\n')}, unfit
}

func (f *Firehose) request(ctx context.Context, batch []entry) ([]answer, error) {
	records := make([]types.Record, len(batch))
	for i := range batch {
		records[i].Data = batch[i].data
	}
	out, err := f.service.PutRecordBatch(ctx, &firehose.PutRecordBatchInput{DeliveryStreamName: &f.stream, Records: records})
	if err != nil {
		return nil, err
	}
	answers, failed := make([]answer, len(out.RequestResponses)), int32(0)
	for i, r := range out.RequestResponses {
		switch {
		case awssdk.ToString(r.ErrorCode) != "":
			answers[i].again = *r.ErrorCode
			failed++
		case awssdk.ToString(r.RecordId) == "":
			return nil, unreadable("a record has neither id nor error")
		default:
			answers[i].taken = true
		}
	}
	if out.FailedPutCount == nil || *out.FailedPutCount != failed {
		return nil, unreadable("%d records have an error, but it counts otherwise", failed)
	}
	return answers, nil
}
