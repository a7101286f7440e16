package fakeaws

import (
	"crypto/md5" //nolint:gosec // it is how Kinesis maps keys to shards
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Kinesis is the data plane of Kinesis Data Streams: PutRecords.
type Kinesis struct {
	// Streams has what was taken, by stream and shard, in order. A stream is there
	// if it has an entry, with as many shards as the entry has.
	Streams map[string][][]KinesisRecord
	// MaxRecord is how many bytes a record may have; zero is the 1 MiB that a
	// stream takes until it is told otherwise.
	MaxRecord int
	sequence  int
}

// A KinesisRecord is one that was taken.
type KinesisRecord struct {
	PartitionKey, Data string
}

// NewKinesis returns the service with one stream.
func NewKinesis(stream string, shards int) *Kinesis {
	return &Kinesis{Streams: map[string][][]KinesisRecord{stream: make([][]KinesisRecord, shards)}}
}

// SigningName implements [Service].
func (*Kinesis) SigningName() string { return "kinesis" }

// Target implements [Service].
func (*Kinesis) Target() string { return "Kinesis_20131202" }

// Serve implements [Service].
func (k *Kinesis) Serve(r *Request) (any, error) {
	if r.Operation != "PutRecords" {
		return nil, Errorf("UnknownOperationException", "%s", r.Operation)
	}
	var in struct {
		StreamName, StreamARN string
		Records               []struct {
			Data                          []byte
			PartitionKey, ExplicitHashKey string
		}
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	name := in.StreamName
	if in.StreamARN != "" {
		_, name, _ = strings.Cut(in.StreamARN, ":stream/")
	}
	shards := k.Streams[name]
	if len(shards) == 0 {
		return nil, Errorf("ResourceNotFoundException", "Stream %s under account %s not found.", name, Account)
	}
	if n := len(in.Records); n < 1 || n > 500 {
		return nil, Errorf("ValidationException", "1 validation error detected: Value at 'records' failed to satisfy constraint: "+
			"Member must have length between 1 and 500, not %d", n)
	}
	limit, total := k.MaxRecord, 0
	if limit == 0 {
		limit = 1 << 20
	}
	for i, rec := range in.Records {
		if n := utf8.RuneCountInString(rec.PartitionKey); n < 1 || n > 256 {
			return nil, Errorf("ValidationException", "Value at 'records.%d.member.partitionKey' must have length between 1 and 256", i+1)
		}
		size := len(rec.Data) + len(rec.PartitionKey)
		if total += size; size > limit {
			return nil, Errorf("ValidationException", "Value at 'records.%d.member.data' must have length less than or equal to %d", i+1, limit)
		}
	}
	if total > 10<<20 {
		return nil, Errorf("InvalidArgumentException", "Records size exceeds 10 MB limit")
	}

	type result struct {
		SequenceNumber string `json:"SequenceNumber,omitempty"`
		ShardID        string `json:"ShardId,omitempty"`
		ErrorCode      string `json:"ErrorCode,omitempty"`
		ErrorMessage   string `json:"ErrorMessage,omitempty"`
	}
	var out struct {
		FailedRecordCount int
		Records           []result
	}
	for i, rec := range in.Records {
		if code := r.Refused(i); code != "" {
			out.FailedRecordCount++
			out.Records = append(out.Records, result{ErrorCode: code, ErrorMessage: "Rate exceeded for shard in stream " + name + " under account " + Account})
			continue
		}
		shard := shardOf(rec.PartitionKey, len(shards))
		shards[shard] = append(shards[shard], KinesisRecord{rec.PartitionKey, string(rec.Data)})
		k.sequence++
		out.Records = append(out.Records, result{SequenceNumber: fmt.Sprintf("49%054d", k.sequence), ShardID: fmt.Sprintf("shardId-%012d", shard)})
	}
	return out, nil
}

// shardOf maps a key into one of n equal ranges of 128-bit integers.
func shardOf(key string, n int) int {
	sum := md5.Sum([]byte(key)) //nolint:gosec // see the import
	v := new(big.Int).SetBytes(sum[:])
	v.Mul(v, big.NewInt(int64(n)))
	return int(v.Rsh(v, 128).Int64())
}
