package otel

import (
	logscol "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// official reads an answer with the collector's type.
func official(answer []byte) (rejected int64, ok bool) {
	var m logscol.ExportLogsServiceResponse
	if err := proto.Unmarshal(answer, &m); err != nil {
		return 0, false
	}
	return m.GetPartialSuccess().GetRejectedLogRecords(), true
}
