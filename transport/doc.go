// Package transport is the parent of the transports a guarded server is reached
// by: stdio for a local client, and later https for SSE and Streamable HTTP. What
// both share will live here; today it holds nothing but this map.
package transport
