package otel

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mcpsec/mcpsec-go/audit"
)

// maxTargets bounds how many names of tools and prompts become labels.
const maxTargets = 512

const delta = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA

// A series is one instrument with one set of labels: pairs of a key and a value.
type series struct {
	instrument, labels string // the labels joined by NUL
}

func seriesOf(instrument string, labels ...string) series {
	return series{instrument, strings.Join(labels, "\x00")}
}

func (s series) attributes() []*commonpb.KeyValue {
	return attributes(nil, strings.Split(s.labels, "\x00")...)
}

// metrics makes the request body for what entries add to the instruments. Labels
// have values from lists and from the server's own configuration only: a caller who
// could choose one could make as many series as he likes.
func (d *Destination) metrics(entries []entry) proto.Message {
	counts := make(map[series]uint64)
	durations := make(map[series]*metricspb.HistogramDataPoint)
	first, last := uint64(math.MaxUint64), uint64(0)
	for i := range entries {
		e := entries[i].event
		if at := nanos(e.Time); at > 0 {
			first, last = min(first, at), max(last, at)
		}
		add(counts, seriesOf(recordsCount, attrEvent, string(e.Kind), attrDecision, string(e.Decision)), 1)
		switch e.Kind {
		case audit.Gap:
			add(counts, seriesOf(lostCount), e.Count)
		case audit.Suppressed:
			add(counts, seriesOf(suppressedCount), e.Count)
		case audit.Outcome:
			if e.Decision != audit.Unknown { // nobody knows how long it ran
				observe(durations, d.labels(e), max(0, e.Latency).Seconds())
			}
		default: // counted above
		}
	}
	first = min(first, last)

	byName := make(map[string]*metricspb.Metric)
	for s, n := range counts {
		m := byName[s.instrument]
		if m == nil {
			m = &metricspb.Metric{Name: s.instrument, Unit: "{record}", Data: &metricspb.Metric_Sum{
				Sum: &metricspb.Sum{AggregationTemporality: delta, IsMonotonic: true},
			}}
			byName[s.instrument] = m
		}
		m.GetSum().DataPoints = append(m.GetSum().DataPoints, &metricspb.NumberDataPoint{
			Attributes: s.attributes(), StartTimeUnixNano: first, TimeUnixNano: last,
			Value: &metricspb.NumberDataPoint_AsInt{AsInt: int64(n)}, //nolint:gosec // add keeps it in range
		})
	}
	for s, point := range durations {
		m := byName[s.instrument]
		if m == nil {
			m = &metricspb.Metric{Name: s.instrument, Unit: "s", Data: &metricspb.Metric_Histogram{
				Histogram: &metricspb.Histogram{AggregationTemporality: delta},
			}}
			byName[s.instrument] = m
		}
		point.Attributes, point.StartTimeUnixNano, point.TimeUnixNano = s.attributes(), first, last
		m.GetHistogram().DataPoints = append(m.GetHistogram().DataPoints, point)
	}
	return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{
		Resource: d.resource,
		ScopeMetrics: []*metricspb.ScopeMetrics{{
			Scope:   scope,
			Metrics: slices.SortedFunc(maps.Values(byName), func(a, b *metricspb.Metric) int { return cmp.Compare(a.GetName(), b.GetName()) }),
		}},
	}}}
}

// labels are those of a duration.
func (d *Destination) labels(e *audit.Event) series {
	instrument := serverDuration
	if e.Outgoing {
		instrument = clientDuration
	}
	method, key := e.Method, named[e.Method]
	if !methods[method] {
		method = other
	}
	operation, name := "", ""
	switch key {
	case attrTool:
		operation, name = executeTool, d.known(e)
	case attrPrompt:
		name = d.known(e)
	}
	fault, code := errorType(e), statusCode(e)
	if _, listed := codes[code]; code != "" && !listed {
		if fault == code {
			fault = other
		}
		code = other
	}
	return seriesOf(instrument, attrMethod, method, attrOperation, operation, key, name,
		attrTransport, transport(e), attrErrorType, fault, attrStatusCode, code)
}

// known returns the target's name if there is such a tool or prompt, as a call shows
// that was answered or whose definition is attested.
func (d *Destination) known(e *audit.Event) string {
	name := e.Method + "\x00" + e.Name
	if d.targets[name] {
		return e.Name
	}
	exists := e.Decision == audit.Allowed || e.IsError || e.Tool.Digest != ""
	if !exists || len(d.targets) >= maxTargets || strings.Contains(e.Name, "\x00") {
		return other
	}
	d.targets[name] = true
	return e.Name
}

// add adds without going over what the wire can hold.
func add(counts map[series]uint64, s series, n uint64) {
	counts[s] = min(counts[s]+min(n, math.MaxInt64), math.MaxInt64)
}

func observe(durations map[series]*metricspb.HistogramDataPoint, s series, seconds float64) {
	p := durations[s]
	if p == nil {
		p = &metricspb.HistogramDataPoint{
			ExplicitBounds: bounds, BucketCounts: make([]uint64, len(bounds)+1),
			Sum: new(float64), Min: new(seconds), Max: new(seconds),
		}
		durations[s] = p
	}
	p.Count++
	p.BucketCounts[sort.SearchFloat64s(bounds, seconds)]++ // a bucket holds its upper bound
	*p.Sum += seconds
	*p.Min, *p.Max = min(p.GetMin(), seconds), max(p.GetMax(), seconds)
}
