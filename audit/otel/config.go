package otel

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Signals are the kinds of telemetry to send, combined with |. Zero means all.
type Signals uint8

// The signals.
const (
	// Logs has one log record for each record of the ledger.
	Logs Signals = 1 << iota
	// Spans has one span for each outcome.
	Spans
	// Metrics has the durations of calls, and counts.
	Metrics
)

// Config says where telemetry goes. Only Endpoint is required.
type Config struct {
	// Endpoint is the base of the receiver's OTLP/HTTP addresses, for example
	// "https://collector.example.com:4318"; v1/logs, v1/traces and v1/metrics are
	// added to its path. No proxy is used. Plain http is for loopback addresses, see InsecureHTTP. It
	// holds no user, password or query: credentials belong into Header.
	Endpoint string
	// TLS is how the receiver is verified; nil trusts the system's roots. The minimum
	// is TLS 1.2. InsecureSkipVerify is honoured: whoever sets it gives the record and
	// the headers to anybody who answers.
	TLS *tls.Config
	// InsecureHTTP lets an http Endpoint be on another machine. The record and the
	// headers can then be read and changed on the way.
	InsecureHTTP bool
	// Header is asked before each request for more headers, for example
	// Authorization. It should not block. They are never part of an error.
	Header func(ctx context.Context) (http.Header, error)
	// Signals to send; zero means all.
	Signals Signals
	// Format is the language of a log record's body; nil means [audit.JSON], which is
	// what proofs are about.
	Format audit.Format
	// Resource has the attributes of the sender. service.name is "mcpsec" unless it
	// is here.
	Resource map[string]string
}

var scope = &commonpb.InstrumentationScope{Name: scopeName}

// New returns the destination that c describes. It connects to nothing yet. Its
// error names every field at fault.
func New(c Config) (*Destination, error) {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("audit/otel: Config."+field+": "+format, args...))
	}
	base, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http":
		// The text itself is not repeated: it may hold a password.
		fault("Endpoint", "is no address: write it as \"https://collector.example.com:4318\"")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		fault("Endpoint", "must not have a user, a query or a fragment: credentials belong into Header")
	}
	conf := c.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch {
	case conf.MinVersion == 0:
		conf.MinVersion = tls.VersionTLS12
	case conf.MinVersion < tls.VersionTLS12:
		fault("TLS", "MinVersion must be TLS 1.2 or later")
	}
	if c.Signals&^(Logs|Spans|Metrics) != 0 {
		fault("Signals", "%#x is none of Logs, Spans and Metrics", uint8(c.Signals))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}

	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if base.Scheme == "http" && !c.InsecureHTTP {
		dialer.Control = loopbackOnly
	}
	d := &Destination{
		client: &http.Client{
			Transport: &http.Transport{
				DialContext: dialer.DialContext, TLSClientConfig: conf, ForceAttemptHTTP2: true,
				TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConns: 2,
				MaxResponseHeaderBytes: maxAnswer,
				DisableCompression:     true, // a small answer cannot become a large one
			},
			// A redirect is an answer like any other: nothing is sent elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		base: base, header: c.Header, signals: c.Signals, format: c.Format, targets: make(map[string]bool),
		zip: gzip.NewWriter(io.Discard),
	}
	if d.signals == 0 {
		d.signals = Logs | Spans | Metrics
	}
	if d.format == nil {
		d.format = audit.JSON
	}
	named := map[string]string{attrServiceName: "mcpsec"}
	maps.Copy(named, c.Resource)
	d.resource = &resourcepb.Resource{}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		d.resource.Attributes = append(d.resource.Attributes, text(clean(key), named[key]))
	}
	return d, nil
}

// loopbackOnly refuses an address before anything is sent to it.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().IsLoopback() {
		return nil
	}
	return errors.New("plain http is for this machine only: use https, or set Config.InsecureHTTP")
}
