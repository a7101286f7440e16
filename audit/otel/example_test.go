package otel_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/otel"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Every record also goes to a collector, as logs and metrics.
func Example() { //nolint:testableexamples // it needs that receiver and that folder
	collector, err := otel.New(otel.Config{
		Endpoint: "https://collector.example.com:4318",
		Signals:  otel.Logs | otel.Metrics,
		Resource: map[string]string{"service.name": "files"},
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := mcpsec.New(audit.New(
		audit.Dir("/var/lib/files/audit"),
		audit.Ship("collector", collector),
	))
	if err != nil {
		log.Fatal(err)
	}
	// serve, and at the end:
	if err := guard.Close(); err != nil {
		log.Fatal(err)
	}
}

// A destination is given to audit.Ship, which runs it. Here it is run by hand.
func ExampleNew() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"))
	}))
	defer collector.Close()

	destination, err := otel.New(otel.Config{
		Endpoint: collector.URL, // https://collector.example.com:4318
		Header: func(context.Context) (http.Header, error) {
			return http.Header{"Authorization": {"Bearer of-today"}}, nil
		},
		Resource: map[string]string{"service.name": "files"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer destination.Close()

	event := audit.Event{Kind: audit.Outcome, Time: time.Now(), ID: "call-1", Method: "tools/call", Name: "search", Decision: audit.Allowed}
	rejected, err := destination.Deliver(context.Background(), []audit.Record{{Origin: "files", Line: event.AppendJSON(nil)}})
	fmt.Println(len(rejected), err)
	// Output:
	// POST /v1/logs Bearer of-today
	// POST /v1/traces Bearer of-today
	// POST /v1/metrics Bearer of-today
	// 0 <nil>
}
