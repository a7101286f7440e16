// Package otel sends the record to an OpenTelemetry receiver over OTLP/HTTP with
// protobuf: as logs, as spans and as metrics.
//
//	collector, err := otel.New(otel.Config{
//		Endpoint: "https://collector.example.com:4318",
//		Header:   func(context.Context) (http.Header, error) { return http.Header{"Authorization": {token()}}, nil },
//	})
//	...
//	audit.Ship("collector", collector)
//
// # What is sent
//
// Logs: one log record for each record, with the record itself as its body in the
// words of [Config.Format], and the principal, the call and the decision as
// attributes. mcpsec.record.id is what a receiver recognises a repetition by.
// Checkpoints are log records too.
//
// Spans: one for each outcome, of kind server, or client for what the server asks of
// the client. Its ids are derived from the call's id, so a record sent again is the
// same span. It continues the trace that the caller sent.
//
// Metrics: the histograms mcp.server.operation.duration and
// mcp.client.operation.duration, and the counters mcpsec.audit.records, .lost (of gap
// records) and .suppressed, all of delta temporality.
//
// The names are those of the OpenTelemetry conventions for MCP and generative AI,
// which are still in development.
//
// # What it stops
//
// Silent loss on the way: no queue drops anything. The ledger is the queue, a batch
// counts as delivered when the receiver has taken all of it, and what it rejects is
// counted. Which records a partial success leaves out, OTLP does not say: the number
// reported is right, the records named are a guess and say so.
//
// A flood of series: labels of metrics come from fixed lists, from codes of this
// library, and from the names of tools and prompts that exist, at most 512. They have
// nothing of principals, sessions, addresses, URIs or arguments.
//
// Personal data in traces: principals are attributes of logs only, session ids of
// nothing.
//
// Headers sent astray: redirects are not followed, and plain http is for this machine
// unless [Config.InsecureHTTP] is set.
//
// # What it does not stop
//
// Repetition: what fails after a part was taken comes again. Logs and spans are
// recognised by their ids. Metrics are sums: if the answer to them is lost, the batch
// counts twice.
//
// A caller who names somebody else's trace: trace ids are the caller's, and join
// records without proving anything. Whoever must know what happened reads the logs.
//
// Strange characters: attributes have names as the caller chose them, but for control
// characters, which become U+FFFD. The body has them escaped.
//
// Loss behind the receiver: it answers when it has taken a batch, which a collector
// without a persistent queue does in memory.
package otel
