package otel

import (
	"log/slog"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mcpsec/mcpsec-go/audit"
)

// logs makes the request body for the log records of entries. LogsData has the same
// encoding as ExportLogsServiceRequest of the collector packages, which would bring
// gRPC with them; so have TracesData and MetricsData. A test compares them.
func (d *Destination) logs(entries []entry) proto.Message {
	list := make([]*logspb.LogRecord, len(entries))
	for i := range entries {
		list[i] = logRecord(&entries[i])
	}
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource:  d.resource,
		ScopeLogs: []*logspb.ScopeLogs{{Scope: scope, LogRecords: list}},
	}}}
}

func logRecord(n *entry) *logspb.LogRecord {
	l := &logspb.LogRecord{Body: textValue(n.body)}
	e := n.event
	if e == nil {
		l.Attributes = attributes(nil, attrRecord, n.record.ID())
		l.ObservedTimeUnixNano = nanos(time.Now())
		if n.record.Checkpoint == "" {
			l.EventName, l.SeverityNumber, l.SeverityText = eventPrefix+"unreadable", faultNumber, severityText(faultNumber)
		} else {
			l.EventName, l.SeverityNumber, l.SeverityText = eventPrefix+"checkpoint", infoNumber, severityText(infoNumber)
		}
		return l
	}
	at, number := nanos(e.Time), severity(e)
	l.TimeUnixNano, l.ObservedTimeUnixNano = at, at
	l.EventName = clean(eventPrefix + string(e.Kind))
	l.SeverityNumber, l.SeverityText = number, severityText(number)
	if e.Level != "" {
		l.SeverityText = clean(e.Level)
	}
	if e.ID != "" {
		id := identify(e)
		l.TraceId, l.SpanId, l.Flags = id.trace, id.span, id.flags
	}
	p := &e.Principal
	l.Attributes = attributes(describe(n.record, e),
		attrRung, p.Rung, attrIssuer, p.Issuer, attrSubject, p.Subject, attrClient, p.Client, attrTenant, p.Tenant)
	return l
}

const (
	infoNumber  = logspb.SeverityNumber_SEVERITY_NUMBER_INFO
	warnNumber  = logspb.SeverityNumber_SEVERITY_NUMBER_WARN
	faultNumber = logspb.SeverityNumber_SEVERITY_NUMBER_ERROR
)

func severity(e *audit.Event) logspb.SeverityNumber {
	switch e.Decision {
	case audit.Refused:
		return warnNumber
	case audit.Failed, audit.Unknown:
		return faultNumber
	case audit.Allowed:
		return infoNumber
	}
	switch e.Kind {
	case audit.Gap:
		return faultNumber
	case audit.Suppressed, audit.Recovery, audit.Pruned:
		return warnNumber
	case audit.Log:
		// slog's levels are four apart, as OTel's severities are.
		var level slog.Level
		if err := level.UnmarshalText([]byte(e.Level)); err == nil {
			return infoNumber + logspb.SeverityNumber(min(max(level, -8), 15))
		}
	default: // attempts, and kinds of later versions
	}
	return infoNumber
}

func severityText(n logspb.SeverityNumber) string {
	switch {
	case n >= faultNumber:
		return "ERROR"
	case n >= warnNumber:
		return "WARN"
	case n >= infoNumber:
		return "INFO"
	}
	return "DEBUG"
}
