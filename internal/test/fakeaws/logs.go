package fakeaws

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Logs is the data plane of CloudWatch Logs: PutLogEvents.
type Logs struct {
	// Groups has the events that were taken, by group and stream, as they came.
	Groups map[string]map[string][]LogEvent
	// Retention is how long groups keep events; zero is for ever.
	Retention time.Duration
	puts      int
}

// A LogEvent is one that was taken.
type LogEvent struct {
	Message   string `json:"message"`
	Timestamp int64  `json:"timestamp"` // milliseconds of Unix time
}

// NewLogs returns the service with one group and stream.
func NewLogs(group, stream string) *Logs {
	return &Logs{Groups: map[string]map[string][]LogEvent{group: {stream: nil}}}
}

// SigningName implements [Service].
func (*Logs) SigningName() string { return "logs" }

// Target implements [Service].
func (*Logs) Target() string { return "Logs_20140328" }

// Serve implements [Service].
func (l *Logs) Serve(r *Request) (any, error) {
	if r.Operation != "PutLogEvents" {
		return nil, Errorf("UnknownOperationException", "%s", r.Operation)
	}
	var in struct {
		Group  string     `json:"logGroupName"`
		Stream string     `json:"logStreamName"`
		Events []LogEvent `json:"logEvents"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	group, ok := l.Groups[in.Group]
	if !ok {
		return nil, Errorf("ResourceNotFoundException", "The specified log group does not exist.")
	}
	stream, ok := group[in.Stream]
	if !ok {
		return nil, Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	if err := checkBatch(in.Events); err != nil {
		return nil, err
	}

	// Order makes the rejected a run at either end.
	milli := func(d time.Duration) int64 { return r.Now.Add(d).UnixMilli() }
	count := func(before int64) (n int) {
		for n < len(in.Events) && in.Events[n].Timestamp < before {
			n++
		}
		return n
	}
	tooOld, tooNew := count(milli(-14*24*time.Hour)), count(milli(2*time.Hour)+1)
	expired := 0
	if l.Retention > 0 {
		expired = count(milli(-l.Retention))
	}
	good := in.Events[max(tooOld, expired):max(tooNew, tooOld, expired)]
	if n := len(good); n > 0 && good[n-1].Timestamp-good[0].Timestamp > (24*time.Hour).Milliseconds() {
		return nil, Errorf("InvalidParameterException", "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	group[in.Stream] = append(stream, good...)
	l.puts++

	out := map[string]any{"nextSequenceToken": strconv.Itoa(l.puts)}
	rejected := map[string]int{}
	if expired > tooOld {
		rejected["expiredLogEventEndIndex"] = expired
	}
	if tooOld > 0 {
		rejected["tooOldLogEventEndIndex"] = tooOld
	}
	if tooNew < len(in.Events) {
		rejected["tooNewLogEventStartIndex"] = tooNew
	}
	if len(rejected) > 0 {
		out["rejectedLogEventsInfo"] = rejected
	}
	return out, nil
}

func checkBatch(events []LogEvent) error {
	const limit, overhead = 1_048_576, 26
	if n := len(events); n < 1 || n > 10_000 {
		return Errorf("InvalidParameterException", "Value at 'logEvents' must have length between 1 and 10000, not %d", n)
	}
	total, last := 0, int64(0)
	for _, e := range events {
		size := len(e.Message) + overhead
		switch total += size; {
		case e.Message == "" || !utf8.ValidString(e.Message):
			return Errorf("InvalidParameterException", "Log event message must not be empty.")
		case e.Timestamp < 0:
			return Errorf("InvalidParameterException", "Value at 'timestamp' must be greater than or equal to 0")
		case size > limit:
			return Errorf("InvalidParameterException", "Log event too large: %d bytes exceeds limit of %d", size, limit)
		case total > limit:
			return Errorf("InvalidParameterException", "Upload too large: %d bytes exceeds limit of %d", total, limit)
		case e.Timestamp < last:
			return Errorf("InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order.")
		}
		last = e.Timestamp
	}
	return nil
}
