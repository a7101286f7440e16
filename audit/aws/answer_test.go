package aws

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestAnswersThatDoNotAddUp(t *testing.T) {
	t.Parallel()
	id := func(seq uint64) string { return trailID(&audit.Record{Origin: testOrigin, Seq: seq}) }
	for name, answers := range map[string][]string{
		"Kinesis": {
			`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"s"}]}`,
			`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"s"},{}]}`,
			`{"FailedRecordCount":1,"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}`,
			`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1"},{"ErrorCode":"InternalFailure"}]}`,
			`{"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}`,
			`{"FailedRecordCount":0,"Records":"no"}`,
			`{"FailedRecordCount":0,"FailedRecordCount":0,"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}`,
		},
		"Firehose": {
			`{"FailedPutCount":0,"RequestResponses":[{"RecordId":"1"}]}`,
			`{"FailedPutCount":0,"RequestResponses":[{"RecordId":"1"},{}]}`,
			`{"FailedPutCount":2,"RequestResponses":[{"RecordId":"1"},{"RecordId":"2"}]}`,
			`{"FailedPutCount":0,"RequestResponses":[{"RecordId":"1"},{"RecordId":"2"},{"RecordId":"3"}]}`,
			`{"FailedPutCount":0,"RequestResponses":[{"RecordId":"1"},{"RecordId":"2"}]}{"FailedPutCount":2}`,
		},
		"Logs": {
			`{"nextSequenceToken":"1","rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0`,
			`{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0},"rejectedLogEventsInfo":{}}`,
			`{"nextSequenceToken":"1","rejectedLogEventsInfo":{"tooOldLogEventEndIndex":"2"}}`,
		},
		"CloudTrail": {
			`{"successful":[],"failed":[]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"}],"failed":[]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"},{"id":"` + id(0) + `","eventID":"e"}],"failed":[]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"},{"id":"` + id(7) + `","eventID":"e"}],"failed":[]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"},{"id":"` + id(1) + `"}],"failed":[]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"},{"id":"` + id(1) + `","eventID":"f"}],"failed":[{"id":"` + id(1) + `","errorCode":"InvalidData"}]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"}],"failed":[{"id":"` + id(1) + `"}]}`,
			`{"successful":[{"id":"` + id(0) + `","eventID":"e"}],"failed":[{"id":"` + id(1) + `","errorCode":"SomethingNew"}]}`,
			`{"successful":{},"failed":7}`,
		},
	} {
		for i, answer := range answers {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				t.Parallel()
				r := rigs[name](t, setting{})
				r.server.Inject(r.operation, fakeaws.Say(answer))
				if rejected, err := r.destination.Deliver(t.Context(), calls(2)); err == nil {
					t.Fatalf("taken for an acknowledgement: %s, %v", answer, rejected)
				}
			})
		}
	}
}

// A refusal whose code is empty, as the API does not write it, is no acknowledgement.
func TestRefusalsWithoutACodeAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			for range 3 * maxRounds {
				r.server.Inject(r.operation, func(*fakeaws.Server, http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("X-Amzn-Errortype", ":")
						w.WriteHeader(http.StatusServiceUnavailable)
						_, _ = w.Write([]byte(`{"__type":"#"}`))
					})
				})
			}
			if _, err := r.destination.Deliver(t.Context(), calls(2)); err == nil {
				t.Fatal("no error")
			}
		})
	}
}
