package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
)

// MaxDefinition bounds the JSON of a tool definition, in bytes.
const MaxDefinition = tooldef.Max

const digestPrefix = "sha256:"

// Digest returns the definition digest of a tool, scheme tooldef/1, as 64
// lower-case hexadecimal digits: [DigestJSON] of the definition as tools/list
// sends it. Every member counts: name, title, description, both schemas,
// annotations, icons and _meta. Absent is not the same as a default.
//
// Take the definition from a list of the server and not from what was given to
// AddTool, which completes it. MCPGODEBUG=hintomitempty=1 changes how the SDK
// encodes annotations, and so the digest.
func Digest(tool *mcp.Tool) (string, error) {
	if tool == nil {
		return "", errors.New("attest: no definition")
	}
	wire, err := marshal(tool)
	if err != nil {
		return "", fmt.Errorf("attest: %w", err)
	}
	return DigestJSON(wire)
}

// DigestJSON returns the tooldef/1 digest of a tool definition as it arrived over
// the wire: SHA-256 of its canonical form (RFC 8785), so that order of members,
// white space and escapes do not count. A host that pins somebody else's tools
// must hash these bytes: decoding into [mcp.Tool] drops unknown members and rounds
// numbers.
//
// It refuses what is not one JSON object, what [mcpsec.CheckJSON] refuses, more
// than [MaxDefinition] bytes, and numbers that the canonical form would change,
// because two definitions that differ in them would share a digest: integers that
// are no IEEE 754 doubles, which begin beyond 2^53, decimals with more digits than
// a double keeps, overflow, and minus zero.
func DigestJSON(wire []byte) (string, error) {
	digest, err := tooldef.Digest(wire)
	if err != nil {
		return "", fmt.Errorf("attest: %w", err)
	}
	return digest, nil
}

// digestServer returns the tooldef/1 digest of what a server says of itself, as it goes over
// the wire.
func digestServer(impl *mcp.Implementation) (string, error) {
	wire, err := marshal(impl)
	if err != nil {
		return "", err
	}
	return DigestJSON(wire)
}

// hexSum returns the hexadecimal SHA-256 of a text.
func hexSum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}
