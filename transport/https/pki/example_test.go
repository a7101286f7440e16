package pki_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

func ExampleDevelopment() {
	dir, err := os.MkdirTemp("", "development")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	dev, err := pki.Development(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	cert, key, err := dev.IssueClient("alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(filepath.Base(dev.CA()), filepath.Base(cert), filepath.Base(key))
	text := dev.Describe("https://localhost:8443/mcp", "alice")
	fmt.Println(strings.Contains(text, "NODE_EXTRA_CA_CERTS"))
	// Output:
	// ca.pem client-alice.pem client-alice.key
	// true
}

func ExampleNames() {
	_, err := pki.Names("spiffe://example.org/agents/*", "dns:*.agents.example.org")
	fmt.Println(err)
	_, err = pki.Names("spiffe://*/agent")
	fmt.Println(err)
	// Output:
	// <nil>
	// pki: Names: "spiffe://*/agent": the trust domain has a star
}

func ExampleFiles() {
	_, err := pki.Files("tls.crt", "tls.key")
	fmt.Println(err)
	// Output: pki: Files: stat tls.crt: no such file or directory
}

func ExampleCAFile() {
	_, err := pki.CAFile("clients-ca.pem")
	fmt.Println(err)
	// Output: pki: CAFile: stat clients-ca.pem: no such file or directory
}

func ExampleCRL() {
	_, err := pki.CRL("clients.crl")
	fmt.Println(err)
	// Output: pki: CRL: stat clients.crl: no such file or directory
}

func ExampleDenyList() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("deny-%d", os.Getpid()))
	defer os.Remove(path)
	if err := os.WriteFile(path, []byte("serial:0A:1B:2C # laptop, lost\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	peers, err := pki.DenyList(path)
	fmt.Println(peers != nil, err)
	// Output: true <nil>
}
