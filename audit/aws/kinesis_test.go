package aws

import (
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestKinesisKeepsLedgersApartAndKeysValid(t *testing.T) {
	t.Parallel()
	service := fakeaws.NewKinesis("audit", 16)
	server := fakeaws.New(t, service)
	d, err := NewKinesis(server.Config(t), KinesisConfig{Stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/audit"})
	must(t, err)
	hurry(t, &d.sender)
	records := calls(4)
	for i, origin := range []string{"", "a", strings.Repeat("é", 300), "bad\xff"} {
		records[i].Origin = origin
	}
	rejected, err := d.Deliver(t.Context(), records)
	if err != nil || len(rejected) > 0 {
		t.Fatalf("%v %v", rejected, err)
	}
}

func TestKinesisTakesLargerRecordsWhereTheStreamDoes(t *testing.T) {
	t.Parallel()
	service := fakeaws.NewKinesis("audit", 1)
	service.MaxRecord = 10 << 20
	server := fakeaws.New(t, service)
	large := formatFunc(func(b []byte, r *audit.Record) ([]byte, error) {
		return append(b, strings.Repeat("x", 10<<20-len(testOrigin)-1+int(r.Seq))...), nil
	})
	d, err := NewKinesis(server.Config(t), KinesisConfig{Stream: "audit", MaxRecord: 10 << 20, Format: large})
	must(t, err)
	hurry(t, &d.sender)
	rejected, err := d.Deliver(t.Context(), calls(3))
	if err != nil || len(rejected) != 1 || rejected[0].Index != 2 || server.Requests("PutRecords") != 2 {
		t.Fatalf("%v %v", rejected, err)
	}
}
