package cef

import (
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// The fields, in the order in which they stand: first what the server says, then
// what the identity provider says, then what the caller says. So no caller can press
// facts out of a message with long texts. The package documentation has them in a
// table.
var (
	keySeverity  = key{leef: "sev"}
	keyTime      = key{cef: "rt", leef: "devTime"}
	keyFormat    = key{leef: "devTimeFormat"}
	keyRecord    = key{cef: "externalId", leef: "mcpsecRecord"}
	keyKind      = key{cef: "cat", leef: "cat"}
	keyAction    = key{cef: "act", leef: "mcpsecAction"}
	keyOutcome   = key{cef: "outcome", leef: "mcpsecOutcome"}
	keySequence  = key{cef: "cn1", label: "Sequence", leef: "mcpsecSequence"}
	keyCount     = key{cef: "cnt", leef: "mcpsecCount"}
	keyStart     = key{cef: "start", leef: "mcpsecStart"}
	keyEnd       = key{cef: "end", leef: "mcpsecEnd"}
	keyDirection = key{cef: "deviceDirection", leef: "mcpsecDirection"}
	keyTransport = own("Transport")

	keySourceIP4  = key{cef: "src", leef: "src"}
	keySourceIP6  = key{cef: "c6a2", label: "Source IPv6 Address", leef: "src"}
	keySourcePort = key{cef: "spt", leef: "srcPort"}
	keySourceName = key{cef: "shost", leef: "mcpsecSource"}
	keyPeerIP4    = key{cef: "dst", leef: "dst"}
	keyPeerIP6    = key{cef: "c6a3", label: "Destination IPv6 Address", leef: "dst"}
	keyPeerPort   = key{cef: "dpt", leef: "dstPort"}
	keyPeerName   = key{cef: "dhost", leef: "mcpsecDestination"}

	keyCall     = key{cef: "cs3", label: "Call", leef: "mcpsecCall"}
	keyRound    = key{cef: "cn3", label: "Round", leef: "mcpsecRound"}
	keyParent   = own("Parent")
	keyPolicy   = key{cef: "cs4", label: "Policy", leef: "policy"}
	keyControl  = own("Control")
	keyLatency  = key{cef: "cn2", label: "Latency in microseconds", leef: "mcpsecLatencyMicros"}
	keyIn       = key{cef: "in", leef: "srcBytes"}
	keyOut      = key{cef: "out", leef: "dstBytes"}
	keyIsError  = own("IsError")
	keyTool     = key{cef: "cs6", label: "Definition", leef: "mcpsecDefinition"}
	keyVersion  = own("ToolVersion")
	keyCode     = own("ToolCode")
	keyManifest = own("Manifest")
	keyResult   = own("ResultDigest")
	keyHMAC     = own("ArgumentsHMAC")
	keyLevel    = own("Level")

	keyUser   = key{cef: "suser", leef: "usrName"}
	keyRung   = own("Rung")
	keyIssuer = key{cef: "cs5", label: "Issuer", leef: "realm"}
	keyClient = key{cef: "sourceServiceName", leef: "mcpsecClient"}
	keyTenant = own("Tenant")

	keyMethod  = key{cef: "cs1", label: "Method", leef: "mcpsecMethod"}
	keyReason  = key{cef: "reason", leef: "reason"}
	keyMessage = key{cef: "msg", leef: "msg"}
	keyName    = key{cef: "cs2", label: "Name", leef: "resource"}
	keyTrace   = own("Trace")
	keySession = own("ClaimedSession")
	keyAgent   = own("ClaimedClient")

	keySize       = key{cef: "cn1", label: "Size", leef: "mcpsecSize"}
	keyCheckpoint = own("Checkpoint")
)

func (m *message) event(r *audit.Record, e *audit.Event, v verdict) {
	m.when(e.Time)
	m.whole(keyRecord, r.ID())
	m.text(keyKind, string(e.Kind))
	m.text(keyAction, v.action)
	m.text(keyOutcome, v.outcome)
	m.text(keySequence, strconv.FormatUint(r.Seq, 10))
	m.count(keyCount, e.Count)
	first, last := e.First, e.Last
	if e.Kind == audit.Outcome && first.IsZero() {
		first, last = e.Time.Add(-e.Latency), e.Time
	}
	m.time(keyStart, first)
	m.time(keyEnd, last)
	m.endpoint(e)
	m.text(keyCall, e.ID)
	m.size(keyRound, e.Round)
	m.text(keyParent, e.Parent)
	m.text(keyPolicy, e.Policy)
	m.text(keyControl, e.Control)
	if e.Kind == audit.Outcome {
		m.int(keyLatency, e.Latency.Microseconds())
	}
	m.size(keyIn, e.Arguments.Bytes)
	m.size(keyOut, e.Result.Bytes)
	if e.IsError {
		m.text(keyIsError, "true")
	}
	m.text(keyTool, e.Tool.Digest)
	m.text(keyVersion, e.Tool.Version)
	m.text(keyCode, e.Tool.Code)
	m.count(keyManifest, e.Tool.Manifest)
	m.text(keyResult, e.Result.Digest)
	m.text(keyHMAC, e.Arguments.HMAC)
	m.text(keyLevel, e.Level)
	m.principal(&e.Principal)
	m.credentials(e)
	m.words(e)
}

// when appends the time of the message, for LEEF as text in the pattern beside it:
// QRadar reads it by that pattern of Java's SimpleDateFormat.
func (m *message) when(t time.Time) {
	if !m.leef {
		m.time(keyTime, t)
		return
	}
	m.text(keyTime, t.UTC().Format("2006-01-02T15:04:05.000-0700"))
	m.text(keyFormat, "yyyy-MM-dd'T'HH:mm:ss.SSSZ")
}

// words appends texts, many of which callers chose.
func (m *message) words(e *audit.Event) {
	m.text(keyMethod, e.Method)
	if e.Kind == audit.Log {
		m.text(keyMessage, e.Reason)
	} else {
		m.text(keyReason, e.Reason)
		m.text(keyMessage, e.Detail)
	}
	m.text(keyName, e.Name)
	if t := e.Trace; t != (audit.Trace{}) {
		m.text(keyTrace, t.ID+"-"+t.Span+"-"+t.Flags)
	}
	m.text(keySession, e.Session)
	m.text(keyAgent, e.Client)
	for i := range e.Principal.Actors {
		m.numbered("Actor", i, "", e.Principal.Actors[i])
	}
	for i := range e.Findings {
		d := &e.Findings[i]
		m.numbered("Finding", i, "Code", d.Code)
		m.numbered("Finding", i, "Control", d.Control)
		if d.Failed {
			m.numbered("Finding", i, "Failed", "true")
		}
		m.numbered("Finding", i, "Reason", d.Reason)
		m.numbered("Finding", i, "Detail", d.Detail)
	}
	for i, n := range e.Notes {
		m.numbered("Note", i, "Name", n.Key)
		m.numbered("Note", i, "", n.Value)
	}
	for i, v := range e.Arguments.Clear {
		m.numbered("Argument", i, "Path", v.Path)
		m.numbered("Argument", i, "", v.JSON)
	}
}

// numbered appends one field of a list, of which the first entry has the number 1.
func (m *message) numbered(name string, i int, part, value string) {
	if value != "" {
		m.text(own(name+strconv.Itoa(i+1)+part), value)
	}
}

// credentials appends what joins the call to the provider's own record: for AWS,
// the key id is userIdentity.accessKeyId in CloudTrail.
func (m *message) credentials(e *audit.Event) {
	for i := range e.Credentials {
		c := &e.Credentials[i]
		m.numbered("Credential", i, "KeyID", c.KeyID)
		m.numbered("Credential", i, "Role", c.Role)
		m.numbered("Credential", i, "Provider", c.Provider)
		m.numbered("Credential", i, "Name", c.Name)
		m.numbered("Credential", i, "Policy", c.Policy)
		if !c.Expires.IsZero() {
			m.numbered("Credential", i, "Expires", strconv.FormatInt(c.Expires.UnixMilli(), 10))
		}
		if c.Kept {
			m.numbered("Credential", i, "Kept", "true")
		}
	}
}

// principal appends who asked; never what the other side claims.
func (m *message) principal(p *audit.Principal) {
	if p.Subject != "" {
		m.text(keyUser, p.Subject)
	} else {
		m.text(keyUser, p.Rung)
	}
	m.text(keyRung, p.Rung)
	m.text(keyIssuer, p.Issuer)
	m.text(keyClient, p.Client)
	m.text(keyTenant, p.Tenant)
}

// endpoint appends the other side: where an incoming call came from, and where an
// outgoing one went. CEF:0 has fields of their own for IPv6.
func (m *message) endpoint(e *audit.Event) {
	ip4, ip6, port, name := keySourceIP4, keySourceIP6, keySourcePort, keySourceName
	direction := "0"
	if e.Outgoing {
		ip4, ip6, port, name = keyPeerIP4, keyPeerIP6, keyPeerPort, keyPeerName
		direction = "1"
	}
	if e.Method != "" {
		m.text(keyDirection, direction)
	}
	m.text(keyTransport, e.Source.Transport)
	address := e.Source.Address
	if address == "" && e.Principal.Rung == "address" {
		address = e.Principal.Subject
	}
	ip, number := netaddr.Parse(address)
	switch {
	case !ip.IsValid():
		m.text(name, address)
	case ip.Is4():
		m.text(ip4, ip.String())
	default:
		m.text(ip6, ip.String())
	}
	m.count(port, uint64(number))
}

// checkpoint appends a signed checkpoint, whole, and reports whether there was room.
// It holds no time, so its message has that of its sending.
func (m *message) checkpoint(r *audit.Record, now time.Time) bool {
	m.when(now)
	return m.whole(keyRecord, r.ID()) &&
		m.whole(keyKind, "checkpoint") &&
		m.whole(keySize, strconv.FormatUint(r.Seq, 10)) &&
		m.whole(keyCheckpoint, r.Checkpoint)
}
