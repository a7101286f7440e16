package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testOrigin = "files.example/eu"

// line is a record of the ledger, made by hand.
func line(seq uint64, e *audit.Event) audit.Record {
	text := fmt.Sprintf(`{"seq":%d,"prev":"%016x",`, seq, seq) + string(e.AppendJSON(nil))[1:]
	return audit.Record{Origin: testOrigin, Seq: seq, Line: []byte(text)}
}

func checkpoint(size uint64) audit.Record {
	return audit.Record{Origin: testOrigin, Seq: size, Checkpoint: fmt.Sprintf("%s\n%d\nroot=\n\n— signer sig=\n", testOrigin, size)}
}

// calls returns the records of n calls, a millisecond apart, and a checkpoint after
// each hundred.
func calls(n int) []audit.Record {
	var all []audit.Record
	start := time.Now().Add(-time.Minute)
	for i := range n {
		e := &audit.Event{
			Kind: audit.Outcome, Time: start.Add(time.Duration(i) * time.Millisecond), ID: fmt.Sprintf("call-%d", i),
			Method: "tools/call", Name: "read_file", Decision: audit.Allowed,
			Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example", Subject: "alice"},
			Source:    audit.Source{Transport: "http", Address: "203.0.113.7:51234"},
		}
		all = append(all, line(uint64(i), e))
		if i%100 == 99 {
			all = append(all, checkpoint(uint64(i+1)))
		}
	}
	return all
}

// wanted are the messages in which records arrive.
func wanted(t *testing.T, records []audit.Record) []string {
	t.Helper()
	var all []string
	for i := range records {
		b, err := audit.JSON.AppendRecord(nil, &records[i])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// A rig is a destination and what is behind it.
type rig struct {
	destination interface {
		audit.Destination
		core() *sender
	}
	server    *fakeaws.Server // nil if it is another
	operation string
	received  func() []string // messages, in the order they came
}

func (k *Kinesis) core() *sender    { return &k.sender }
func (f *Firehose) core() *sender   { return &f.sender }
func (l *Logs) core() *sender       { return &l.sender }
func (c *CloudTrail) core() *sender { return &c.sender }

// hurry makes a destination pause for no time. It still ends with its context.
func hurry(t *testing.T, s *sender) {
	t.Helper()
	s.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	t.Cleanup(func() { _ = s.Close() })
}

// A setting changes what a rig is made with.
type setting struct {
	config func(*awssdk.Config)
	format audit.Format
}

// rigs make a destination of each kind over a server of its own.
var rigs = map[string]func(t *testing.T, with setting) *rig{
	"Kinesis": func(t *testing.T, with setting) *rig {
		t.Helper()
		service := fakeaws.NewKinesis("audit", 4)
		server := fakeaws.New(t, service)
		d, err := NewKinesis(configured(t, server, with), KinesisConfig{Stream: "audit", Format: with.format})
		must(t, err)
		hurry(t, &d.sender)
		return &rig{d, server, "PutRecords", func() (all []string) {
			used := 0
			for _, shard := range service.Streams["audit"] {
				if len(shard) > 0 {
					used++
				}
				for _, r := range shard {
					all = append(all, r.Data)
				}
			}
			if used > 1 {
				t.Errorf("one ledger went into %d shards", used)
			}
			return all
		}}
	},
	"Firehose": func(t *testing.T, with setting) *rig {
		t.Helper()
		service := fakeaws.NewFirehose("audit")
		server := fakeaws.New(t, service)
		d, err := NewFirehose(configured(t, server, with), FirehoseConfig{Stream: "audit", Format: with.format})
		must(t, err)
		hurry(t, &d.sender)
		return &rig{d, server, "PutRecordBatch", func() []string { return lines(t, strings.Join(service.Streams["audit"], "")) }}
	},
	"Logs": func(t *testing.T, with setting) *rig {
		t.Helper()
		service := fakeaws.NewLogs("/mcp/audit", "files")
		server := fakeaws.New(t, service)
		d, err := NewLogs(configured(t, server, with), LogsConfig{Group: "/mcp/audit", Stream: "files", Format: with.format})
		must(t, err)
		hurry(t, &d.sender)
		return &rig{d, server, "PutLogEvents", func() (all []string) {
			for _, e := range service.Groups["/mcp/audit"]["files"] {
				all = append(all, e.Message)
			}
			return all
		}}
	},
	"CloudTrail": func(t *testing.T, with setting) *rig {
		t.Helper()
		service := fakeaws.NewCloudTrail("audit")
		server := fakeaws.New(t, service)
		d, err := NewCloudTrail(configured(t, server, with), CloudTrailConfig{Channel: service.Channel, Format: with.format})
		must(t, err)
		hurry(t, &d.sender)
		return &rig{d, server, "PutAuditEvents", func() (all []string) {
			for _, e := range service.Events {
				all = append(all, recordOf(t, e.Data))
			}
			return all
		}}
	},
}

func configured(t *testing.T, server *fakeaws.Server, with setting) awssdk.Config {
	t.Helper()
	config := server.Config(t)
	if with.config != nil {
		with.config(&config)
	}
	return config
}

// deliver fails the test unless everything is taken.
func (r *rig) deliver(t *testing.T, records []audit.Record) {
	t.Helper()
	rejected, err := r.destination.Deliver(t.Context(), records)
	if err != nil || len(rejected) > 0 {
		t.Fatalf("%v %v", rejected, err)
	}
}

// lines takes apart what records with a line end became.
func lines(t *testing.T, text string) []string {
	t.Helper()
	if text == "" {
		return nil
	}
	whole, ok := strings.CutSuffix(text, "\n")
	if !ok {
		t.Errorf("the last line does not end")
	}
	return strings.Split(whole, "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A formatFunc writes records as a test wants it.
type formatFunc func(b []byte, r *audit.Record) ([]byte, error)

func (formatFunc) MediaType() string { return "text/plain" }

func (f formatFunc) AppendRecord(b []byte, r *audit.Record) ([]byte, error) { return f(b, r) }

var errFormat = errors.New("no such thing")
