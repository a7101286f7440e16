package lock

import (
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// identify makes a definition of what a server says of itself, from the result of
// initialize, or of server/discover of revision 2026-07-28. Both give the same, so
// that it does not matter which of them the client uses: discover has serverInfo in
// _meta. Out stays what is negotiated or volatile and says nothing of the server.
func identify(result []byte) (d shown, err error) {
	members, err := object(result, "serverInfo", "instructions", "capabilities",
		"protocolVersion", "supportedVersions", "_meta", "resultType", "ttlMs", "cacheScope")
	if err != nil {
		return d, err
	}
	for _, name := range []string{"protocolVersion", "supportedVersions", "resultType", "ttlMs", "cacheScope"} {
		delete(members, name)
	}
	if raw, ok := members["_meta"]; ok {
		meta, err := object(raw, mcp.MetaKeyServerInfo)
		if err != nil {
			return d, fmt.Errorf("_meta: %w", err)
		}
		if info, ok := meta[mcp.MetaKeyServerInfo]; ok {
			if _, twice := members["serverInfo"]; !twice {
				members["serverInfo"] = info
				delete(meta, mcp.MetaKeyServerInfo)
			}
		}
		delete(members, "_meta")
		if len(meta) > 0 {
			if members["_meta"], err = marshal(meta); err != nil {
				return d, err
			}
		}
	}
	wire, err := marshal(members)
	if err != nil {
		return d, err
	}
	if d.text, err = tooldef.Canonical(wire); err != nil {
		return d, err
	}
	d.sha256 = digestText(d.text)
	return d, nil
}

// marshal writes members one by one: encoding/json would be free to rewrite them.
func marshal(members map[string]json.RawMessage) ([]byte, error) {
	out := []byte{'{'}
	for name, value := range members {
		if len(out) > 1 {
			out = append(out, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	out = append(out, '}')
	return out, mcpsec.CheckJSON(out)
}
