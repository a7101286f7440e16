package fakeaws

import "fmt"

// Firehose is the data plane of Amazon Data Firehose: PutRecordBatch.
type Firehose struct {
	// Streams has the records that were taken, by stream. A stream is there if it
	// has an entry.
	Streams map[string][]string
	taken   int
}

// NewFirehose returns the service with one stream.
func NewFirehose(stream string) *Firehose {
	return &Firehose{Streams: map[string][]string{stream: nil}}
}

// SigningName implements [Service].
func (*Firehose) SigningName() string { return "firehose" }

// Target implements [Service].
func (*Firehose) Target() string { return "Firehose_20150804" }

// Serve implements [Service].
func (f *Firehose) Serve(r *Request) (any, error) {
	if r.Operation != "PutRecordBatch" {
		return nil, Errorf("UnknownOperationException", "%s", r.Operation)
	}
	var in struct {
		DeliveryStreamName string
		Records            []struct{ Data []byte }
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	stream, ok := f.Streams[in.DeliveryStreamName]
	if !ok {
		return nil, Errorf("ResourceNotFoundException", "Firehose %s under account %s not found.", in.DeliveryStreamName, Account)
	}
	// The service takes more than 500 and delivers them wrongly. A test must not pass so.
	if n := len(in.Records); n < 1 || n > 500 {
		return nil, Errorf("ValidationException", "Value at 'records' must have length between 1 and 500, not %d", n)
	}
	total := 0
	for i, rec := range in.Records {
		if total += len(rec.Data); len(rec.Data) > 1_024_000 {
			return nil, Errorf("ValidationException", "Value at 'records.%d.member.data' must have length less than or equal to 1024000", i+1)
		}
	}
	if total > 4<<20 {
		return nil, Errorf("InvalidArgumentException", "Records size exceeds 4 MB limit")
	}

	type result struct {
		RecordID     string `json:"RecordId,omitempty"`
		ErrorCode    string `json:"ErrorCode,omitempty"`
		ErrorMessage string `json:"ErrorMessage,omitempty"`
	}
	var out struct {
		FailedPutCount   int
		Encrypted        bool
		RequestResponses []result
	}
	for i, rec := range in.Records {
		if code := r.Refused(i); code != "" {
			out.FailedPutCount++
			out.RequestResponses = append(out.RequestResponses, result{ErrorCode: code, ErrorMessage: "Slow down."})
			continue
		}
		stream = append(stream, string(rec.Data))
		f.taken++
		out.RequestResponses = append(out.RequestResponses, result{RecordID: fmt.Sprintf("id-%d", f.taken)})
	}
	f.Streams[in.DeliveryStreamName] = stream
	return out, nil
}
