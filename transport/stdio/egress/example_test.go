package egress_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

func ExampleParse() {
	policy, err := egress.Parse("api.example.com", "*.bücher.example:8443", "db.example.com:5432 tcp private")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, rule := range policy.Rules() {
		fmt.Println(rule)
	}
	fmt.Println(policy.Allows("API.example.com.", 443), policy.Allows("api.example.com.evil.example", 443))
	_, err = egress.Parse("169.254.169.254:80")
	fmt.Println(err)
	// Output:
	// api.example.com:443
	// *.xn--bcher-kva.example:8443
	// db.example.com:5432 tcp private
	// true false
	// egress: rule "169.254.169.254:80": this address cannot be permitted: it is a metadata service's, link-local, multicast or reserved
}

// A name that is listed may come to lead to where nobody should go.
func ExampleServer() {
	policy, err := egress.Parse("api.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := egress.NewServer(egress.Config{
		Policy: policy,
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
		},
		OnEvent: func(e egress.Event) { fmt.Println(e.Via, e.Name, e.Port, e.Allowed, e.Reason) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a sandbox brings its own
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Serve(egress.Sockets{Proxy: listener}); err != nil {
		fmt.Println(err)
		return
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(conn, "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n")
	status, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Printf("%.22s %v\n", status, err)
	fmt.Println(conn.Close(), server.Close())
	// Output:
	// connect api.example.com 443 false egress.forbidden_address
	// HTTP/1.1 403 Forbidden <nil>
	// <nil> <nil>
}

func ExampleDialer() {
	policy, err := egress.Parse("api.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	dialer, err := egress.NewDialer(egress.Config{Policy: policy})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	_, err = client.Get("http://metadata.google.internal/computeMetadata/v1/")
	fmt.Println(err)
	// Output:
	// Get "http://metadata.google.internal/computeMetadata/v1/": egress.not_listed: metadata.google.internal:80 is not on this server's list of hosts
}
