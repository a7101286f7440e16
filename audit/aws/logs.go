package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Limits of PutLogEvents. That of the age of an event is the service's to judge,
// by its own clock and the retention of the group.
const (
	logsEvents   = 10_000
	logsRequest  = 1_048_576 // with the overhead of each event
	logsEvent    = 1_000_000 // with its overhead
	logsOverhead = 26
	logsSpan     = 24 * time.Hour
)

// LogsConfig configures [NewLogs].
type LogsConfig struct {
	// Group and Stream are the names of a log group and a log stream in it. Both
	// must exist.
	Group, Stream string
	// Format is the language of the messages; nil is [audit.JSON].
	Format audit.Format
}

// Logs is an [audit.Destination] that puts one message in each event of a
// CloudWatch Logs stream. Its methods are for one goroutine at a time.
type Logs struct {
	sender
	service       *cloudwatchlogs.Client
	group, stream string
	now           func() time.Time
}

var _ audit.Destination = (*Logs)(nil)

var (
	logsGroup  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	logsStream = regexp.MustCompile(`^[^:*\x00-\x1f\x7f]{1,512}$`)
)

// NewLogs returns a destination that writes to a log stream. The credentials need
// logs:PutLogEvents on the stream and nothing else.
//
// CloudWatch Logs wants each request in the order of time, within 24 hours, and
// takes no event that is more than 14 days old, older than the retention of the
// group, or more than 2 hours ahead: those are rejected, so a backlog of more than
// 14 days is lost to this destination, and counted. A checkpoint bears the time of
// its delivery. Readers order by the seq that each record holds, and drop what they
// have of a seq already.
func NewLogs(config awssdk.Config, to LogsConfig) (*Logs, error) {
	config, base, faults := harden(config)
	if !logsGroup.MatchString(to.Group) {
		faults = append(faults, errors.New("LogsConfig.Group: need the name of a log group"))
	}
	if !logsStream.MatchString(to.Stream) || !utf8.ValidString(to.Stream) {
		faults = append(faults, errors.New("LogsConfig.Stream: need the name of a log stream"))
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("audit/aws: Logs: %w", errors.Join(faults...))
	}
	l := &Logs{service: cloudwatchlogs.NewFromConfig(config), group: to.Group, stream: to.Stream, now: time.Now}
	l.sender = base
	l.what, l.format = fmt.Sprintf("CloudWatch Logs PutLogEvents to %q in %q", to.Stream, to.Group), orJSON(to.Format)
	l.limits = limits{entries: logsEvents, bytes: logsRequest, entry: logsEvent, overhead: logsOverhead, span: logsSpan}
	l.prepare, l.put = l.entry, l.request
	l.arrange = byTime
	return l, nil
}

// byTime brings entries into the order that the service demands, and leaves those
// of one time in the order of the ledger.
func byTime(entries []entry) {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.at.Compare(b.at) })
}

func (l *Logs) entry(r *audit.Record) (entry, string) {
	data, unfit := l.message(r)
	if unfit == "" && !utf8.Valid(data) {
		unfit = "the format wrote what is not UTF-8"
	}
	at := l.now()
	if r.Checkpoint == "" {
		var e struct {
			Time time.Time `json:"time"`
		}
		if err := json.Unmarshal(r.Line, &e); err == nil && !e.Time.IsZero() {
			at = e.Time // what cannot be read here is delivered all the same, as of now
		}
	}
	at = at.Truncate(time.Millisecond)
	if at.UnixMilli() < 0 {
		unfit = "its time is before 1970"
	}
	return entry{data: data, at: at}, unfit
}

func (l *Logs) request(ctx context.Context, batch []entry) ([]answer, error) {
	events := make([]types.InputLogEvent, len(batch))
	for i := range batch {
		events[i] = types.InputLogEvent{Message: awssdk.String(string(batch[i].data)), Timestamp: awssdk.Int64(batch[i].at.UnixMilli())}
	}
	out, err := l.service.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogEvents: events, LogGroupName: &l.group, LogStreamName: &l.stream})
	if err != nil {
		return nil, err
	}
	answers := slices.Repeat([]answer{{taken: true}}, len(batch))
	if info := out.RejectedLogEventsInfo; info != nil {
		for _, r := range []struct {
			at    *int32
			after bool // from at on; else before at
			why   string
		}{
			{info.ExpiredLogEventEndIndex, false, "older than the log group keeps events"},
			{info.TooOldLogEventEndIndex, false, "more than 14 days old"},
			{info.TooNewLogEventStartIndex, true, "more than 2 hours ahead of the service's clock"},
		} {
			if r.at == nil {
				continue
			}
			at := int(*r.at)
			if at < 0 || at > len(answers) {
				return nil, unreadable("it rejects events that were not sent")
			}
			part := answers[:at]
			if r.after {
				part = answers[at:]
			}
			for i := range part {
				part[i] = answer{rejected: r.why}
			}
		}
	}
	return answers, nil
}
