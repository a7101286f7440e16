package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/syslog"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Every record also goes to the company's collector.
func Example() { //nolint:testableexamples // it needs that receiver and that folder
	receiver, err := syslog.New(syslog.Config{
		Address:        "siem.example.com:6514",
		TLS:            &tls.Config{MinVersion: tls.VersionTLS13}, // and RootCAs, Certificates
		AllowBareClose: true,                                      // the collector is an rsyslog with GnuTLS
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := mcpsec.New(audit.New(
		audit.Dir("/var/lib/files/audit"),
		audit.Ship("siem", receiver, audit.Required()),
	))
	if err != nil {
		log.Fatal(err)
	}
	// serve, and at the end:
	if err := guard.Close(); err != nil {
		log.Fatal(err)
	}
}

// A destination is given to audit.Ship, which runs it. Here it is run by hand, and
// sends to a relay on this machine: to reach another, leave InsecureLoopbackTCP out
// and set TLS.
func ExampleNew() {
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()
	go func() {
		conn, err := relay.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		messages, _ := bufio.NewReader(conn).ReadString(']')
		fmt.Println(messages)
		_, _ = conn.Read(make([]byte, 1024))
	}()

	destination, err := syslog.New(syslog.Config{
		Address:             relay.Addr().String(), // siem.example.com:6514
		InsecureLoopbackTCP: true,
		Hostname:            "host.example", ProcID: "4711",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer destination.Close()

	event := audit.Event{
		Kind: audit.Outcome, Time: time.Date(2026, 11, 22, 9, 15, 0, 0, time.UTC),
		ID: "call-1", Method: "tools/call", Name: "search", Decision: audit.Refused,
	}
	rejected, err := destination.Deliver(context.Background(), []audit.Record{{Origin: "files", Seq: 17, Line: event.AppendJSON(nil)}})
	fmt.Println(len(rejected), err)
	// Output:
	// 334 <108>1 2026-11-22T09:15:00.000000Z host.example mcpsec 4711 outcome [mcpsec@32473 id="files:17" event="outcome" decision="refused" call="call-1" method="tools/call" name="search"]
	// 0 <nil>
}
