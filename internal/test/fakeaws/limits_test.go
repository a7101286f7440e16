package fakeaws

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	fire "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kin "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func TestLimitsAreThoseOfTheAPIs(t *testing.T) {
	t.Parallel()
	s := New(t, NewKinesis("s", 2), NewFirehose("s"), NewLogs("g", "s"))
	cfg := s.Config(t)
	k, f, l := kinesis.NewFromConfig(cfg), firehose.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)

	records := func(n, size int) func(context.Context) error {
		return func(ctx context.Context) error {
			in := &kinesis.PutRecordsInput{StreamName: aws.String("s")}
			for range n {
				in.Records = append(in.Records, kin.PutRecordsRequestEntry{Data: make([]byte, size-1), PartitionKey: aws.String("k")})
			}
			_, err := k.PutRecords(ctx, in)
			return err
		}
	}
	batch := func(n, size int) func(context.Context) error {
		return func(ctx context.Context) error {
			in := &firehose.PutRecordBatchInput{DeliveryStreamName: aws.String("s")}
			for range n {
				in.Records = append(in.Records, fire.Record{Data: make([]byte, size)})
			}
			_, err := f.PutRecordBatch(ctx, in)
			return err
		}
	}
	now := time.Now()
	events := func(n, size int, ages ...time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s")}
			for i := range n {
				at := now
				if i < len(ages) {
					at = at.Add(-ages[i])
				}
				in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Message: aws.String(strings.Repeat("x", size-26)), Timestamp: aws.Int64(at.UnixMilli())})
			}
			_, err := l.PutLogEvents(ctx, in)
			return err
		}
	}
	for name, tc := range map[string]struct {
		call func(context.Context) error
		code string
	}{
		"kinesis 500":              {records(500, 10), ""},
		"kinesis 501":              {records(501, 10), "ValidationException"},
		"kinesis record":           {records(1, 1<<20), ""},
		"kinesis record too large": {records(1, 1<<20+1), "ValidationException"},
		"kinesis 10 MiB":           {records(10, 1<<20), ""},
		"kinesis over 10 MiB":      {records(11, 1<<20), "InvalidArgumentException"},
		"firehose 500":             {batch(500, 10), ""},
		"firehose 501":             {batch(501, 10), "ValidationException"},
		"firehose record":          {batch(1, 1_024_000), ""},
		"firehose too large":       {batch(1, 1_024_001), "ValidationException"},
		"firehose over 4 MiB":      {batch(5, 1_024_000), "InvalidArgumentException"},
		"logs 10000":               {events(10_000, 100), ""},
		"logs 10001":               {events(10_001, 27), "InvalidParameterException"},
		"logs 1 MiB":               {events(2, 1<<19), ""},
		"logs over 1 MiB":          {events(2, 1<<19+1), "InvalidParameterException"},
		"logs out of order":        {events(2, 30, 0, time.Minute), "InvalidParameterException"},
		"logs 24 h":                {events(2, 30, 24*time.Hour, 0), ""},
		"logs over 24 h":           {events(2, 30, 24*time.Hour+time.Second, 0), "InvalidParameterException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tc.call(t.Context()); codeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Fatalf("want %q, got %v", tc.code, err)
			}
		})
	}
}

func TestShardsAreRangesOfTheHash(t *testing.T) {
	t.Parallel()
	// MD5("a") begins 0cc1, of "b" 92eb, of "d" 8277, of "f" 8fa1.
	for key, want := range map[string]int{"a": 0, "b": 2, "d": 2, "f": 2} {
		if got := shardOf(key, 4); got != want {
			t.Errorf("%s: shard %d, want %d", key, got, want)
		}
	}
}

func TestClockOfTheServerCorrectsTheClient(t *testing.T) {
	t.Parallel()
	f := NewFirehose("s")
	s := New(t, f)
	s.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
	_, err := firehose.NewFromConfig(s.Config(t)).PutRecordBatch(t.Context(), &firehose.PutRecordBatchInput{
		DeliveryStreamName: aws.String("s"), Records: []fire.Record{{Data: []byte("x")}},
	})
	if err != nil || s.Requests("PutRecordBatch") != 2 {
		t.Fatalf("%d requests, %v", s.Requests("PutRecordBatch"), err)
	}
}
