package pki

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// encode returns PEM blocks.
func encode(kind string, blocks ...[]byte) []byte {
	var out bytes.Buffer
	for _, b := range blocks {
		_ = pem.Encode(&out, &pem.Block{Type: kind, Bytes: b}) // a buffer takes everything
	}
	return out.Bytes()
}

// write writes a file of the folder, for its owner alone, unless it is as it should be.
func (l *Local) write(file string, data []byte) error {
	path := filepath.Join(l.dir, file)
	if old, err := regular.ReadFile(path, maxKeyFile); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return regular.Replace(path, data, 0o600)
}

// CA returns the path of the authority's certificate, which clients need.
func (l *Local) CA() string { return filepath.Join(l.dir, "ca.pem") }

// Describe returns what a person needs to reach a server with this certificate: the
// authority, and how the usual clients are told of it. url is the server's endpoint. If
// client is not empty, it is the name of a certificate that [Local.IssueClient] has issued.
func (l *Local) Describe(url, client string) string {
	var out strings.Builder
	sum := sha256.Sum256(l.ca.Raw)
	fmt.Fprintf(&out, "Development authority, for this machine's loopback names only, until %s:\n  %s\n  SHA-256 %x\n\n%s\n",
		l.ca.NotAfter.UTC().Format("2006-01-02"), l.CA(), sum, encode("CERTIFICATE", l.ca.Raw))
	flags := ""
	if client != "" {
		cert := filepath.Join(l.dir, "client-"+client)
		flags = fmt.Sprintf(" --cert %s --key %s", quote(cert+".pem"), quote(cert+".key"))
	}
	fmt.Fprintf(&out, "curl:\n  curl --tlsv1.3 --cacert %s%s %s\n\n", quote(l.CA()), flags, quote(url))
	fmt.Fprintf(&out, "Clients that run on Node.js, such as mcp-remote and the inspector:\n  NODE_EXTRA_CA_CERTS=%s\n\n", quote(l.CA()))
	fmt.Fprintf(&out, "A client's configuration:\n"+
		"  {\"mcpServers\": {\"local\": {\"command\": \"npx\", \"args\": [\"mcp-remote\", %q],\n"+
		"    \"env\": {\"NODE_EXTRA_CA_CERTS\": %q}}}}\n\n", url, l.CA())
	fmt.Fprintf(&out, "Go:\n  cas, err := pki.CAFile(%q)\n", l.CA())
	if client != "" {
		cert := filepath.Join(l.dir, "client-"+client)
		fmt.Fprintf(&out, "  own, err := pki.Files(%q, %q)\n  client, err := https.NewClient(https.ClientConfig{CAs: cas, Certificate: own})\n", cert+".pem", cert+".key")
	} else {
		fmt.Fprint(&out, "  client, err := https.NewClient(https.ClientConfig{CAs: cas})\n")
	}
	return out.String()
}

// quote makes one word of a shell of a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
