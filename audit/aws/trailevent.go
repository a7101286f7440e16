package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Lengths of the fields of an event (CloudTrail Lake integrations event schema).
const (
	trailType       = 128
	trailText       = 1024 // principalId, userAgent, eventSource, eventName, UID
	trailErrorText  = 256  // errorCode, errorMessage
	trailAdditional = 28_000
)

// A trailEvent is the event data of CloudTrail's schema for events from outside AWS.
type trailEvent struct {
	Version      string `json:"version"`
	UserIdentity struct {
		Type        string         `json:"type"`
		PrincipalID string         `json:"principalId"`
		Details     map[string]any `json:"details,omitempty"`
	} `json:"userIdentity"`
	UserAgent         string         `json:"userAgent,omitempty"`
	EventSource       string         `json:"eventSource"`
	EventName         string         `json:"eventName"`
	EventTime         string         `json:"eventTime"`
	UID               string         `json:"UID"`
	RequestParameters map[string]any `json:"requestParameters,omitempty"`
	ResponseElements  map[string]any `json:"responseElements,omitempty"`
	ErrorCode         string         `json:"errorCode,omitempty"`
	ErrorMessage      string         `json:"errorMessage,omitempty"`
	SourceIPAddress   string         `json:"sourceIPAddress,omitempty"`
	RecipientAccount  string         `json:"recipientAccountId"`
	Additional        struct {
		Record string `json:"record"`
	} `json:"additionalEventData"`
}

// entry writes the record as one event of a request.
func (c *CloudTrail) entry(r *audit.Record) (entry, string) {
	message, unfit := c.message(r)
	if unfit != "" {
		return entry{}, unfit
	}
	t := trailEvent{Version: "mcpsec-audit/1", UID: cut(r.ID(), trailText), RecipientAccount: c.account, EventSource: c.source}
	if t.EventSource == "" {
		t.EventSource = cut(r.Origin, trailText)
	}
	if r.Checkpoint != "" {
		t.checkpoint(r, c.now())
	} else {
		e, err := audit.Decode(r.Line)
		if err != nil {
			return entry{}, "it is no record that can be read"
		}
		t.describe(e, r.Origin)
	}
	t.Additional.Record = string(message)
	if whole, err := asciiJSON(t.Additional); err != nil || len(whole) > trailAdditional {
		return entry{}, "too large: more than " + strconv.Itoa(trailAdditional) + " bytes of additionalEventData"
	}
	text, err := asciiJSON(t)
	if err != nil {
		return entry{}, "it cannot be written as JSON"
	}
	sum := sha256.Sum256(text)
	id := trailID(r)
	data, err := asciiJSON(struct {
		ID       string `json:"id"`
		Data     string `json:"eventData"`
		Checksum string `json:"eventDataChecksum"`
	}{id, string(text), base64.StdEncoding.EncodeToString(sum[:])})
	if err != nil {
		return entry{}, "it cannot be written as JSON"
	}
	return entry{data: data, key: id}, ""
}

// trailID is the id of a record's event, the same for each delivery: the API takes
// 128 letters, digits, - and _, and an origin may be made of more.
func trailID(r *audit.Record) string {
	sum := sha256.Sum256([]byte(r.Origin))
	kind := ""
	if r.Checkpoint != "" {
		kind = "checkpoint-"
	}
	return hex.EncodeToString(sum[:16]) + "-" + kind + strconv.FormatUint(r.Seq, 10)
}

func (t *trailEvent) checkpoint(r *audit.Record, now time.Time) {
	t.UserIdentity.Type, t.UserIdentity.PrincipalID = "ledger", orDash(cut(r.Origin, trailText))
	t.EventName, t.EventTime = "checkpoint", trailTime(now)
	t.RequestParameters = map[string]any{"size": strconv.FormatUint(r.Seq, 10)}
}

// describe puts what an event says where CloudTrail has a field for it. The
// principal's id is qualified by its issuer, as AWS does for web identities: what
// two issuers call alice are two principals.
func (t *trailEvent) describe(e *audit.Event, origin string) {
	p := &e.Principal
	t.UserIdentity.Type = cut(p.Rung, trailType)
	id := p.Subject
	if p.Issuer != "" {
		id = p.Issuer + ":" + id
	}
	if p.Rung == "" { // no call of anybody's: the log itself speaks
		t.UserIdentity.Type, id = "ledger", origin
	}
	t.UserIdentity.PrincipalID = orDash(cut(id, trailText))
	t.UserIdentity.Details = object(map[string]string{
		"issuer": p.Issuer, "subject": p.Subject, "client": p.Client, "tenant": p.Tenant,
	})
	if len(p.Actors) > 0 {
		t.UserIdentity.Details["actors"] = p.Actors
	}
	t.UserAgent = cut(e.Client, trailText)
	t.EventName = cut(e.Method, trailText)
	if t.EventName == "" {
		t.EventName = orDash(cut(string(e.Kind), trailText))
	}
	t.EventTime = trailTime(e.Time)
	t.RequestParameters = object(map[string]string{
		"event": string(e.Kind), "id": e.ID, "name": e.Name,
		"argumentsHmac": e.Arguments.HMAC, "toolDigest": e.Tool.Digest, "policy": e.Policy,
	})
	t.ResponseElements = object(map[string]string{"decision": string(e.Decision), "resultDigest": e.Result.Digest})
	t.ErrorCode = cut(e.Code, trailErrorText)
	if t.ErrorCode == "" && (e.Decision == audit.Failed || e.Decision == audit.Unknown) {
		t.ErrorCode = string(e.Decision)
	}
	t.ErrorMessage = e.Reason
	if t.ErrorMessage == "" {
		t.ErrorMessage = e.Detail
	}
	t.ErrorMessage = cut(t.ErrorMessage, trailErrorText)
	if a, err := netip.ParseAddrPort(e.Source.Address); err == nil {
		t.SourceIPAddress = a.Addr().Unmap().WithZone("").String()
	}
}

func trailTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// object makes a JSON object of those members that have a value.
func object(members map[string]string) map[string]any {
	m := make(map[string]any, len(members))
	for name, value := range members {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

func orDash(s string) string {
	if s == "" {
		return "-" // a required field
	}
	return s
}

// cut shortens s to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// asciiJSON writes v as JSON in printable ASCII, so that no character that hides
// or reorders text stands there as such.
func asciiJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	const hexDigits = "0123456789abcdef"
	b := make([]byte, 0, len(text)+len(text)/8)
	unit := func(u rune) {
		b = append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
	}
	for _, r := range string(text) {
		switch {
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			unit(high)
			unit(low)
		case r >= 0x7f:
			unit(r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b, nil
}
