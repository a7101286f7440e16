package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A wireEvent is an event as a line of the ledger has it.
type wireEvent struct {
	Time      time.Time `json:"time"`
	Kind      Kind      `json:"event"`
	ID        string    `json:"id"`
	Parent    string    `json:"parent"`
	Round     int       `json:"round"`
	Method    string    `json:"method"`
	Name      string    `json:"name"`
	Outgoing  bool      `json:"outgoing"`
	Principal struct {
		Rung    string   `json:"rung"`
		Issuer  string   `json:"issuer"`
		Subject string   `json:"subject"`
		Client  string   `json:"client"`
		Tenant  string   `json:"tenant"`
		Actors  []string `json:"actors"`
	} `json:"principal"`
	Untrusted struct {
		Session string `json:"session"`
		Client  string `json:"client"`
	} `json:"untrusted"`
	Source struct {
		Transport string `json:"transport"`
		Address   string `json:"address"`
	} `json:"source"`
	Trace struct {
		ID    string `json:"id"`
		Span  string `json:"span"`
		Flags string `json:"flags"`
	} `json:"trace"`
	Tool struct {
		Digest   string `json:"digest"`
		Version  string `json:"version"`
		Code     string `json:"code"`
		Manifest uint64 `json:"manifest"`
	} `json:"tool"`
	Policy    string `json:"policy"`
	Arguments struct {
		Bytes    int               `json:"bytes"`
		Keys     []string          `json:"keys"`
		More     int               `json:"more"`
		HMAC     string            `json:"hmac"`
		Clear    map[string]string `json:"clear"`
		Redacted []string          `json:"redacted"`
	} `json:"arguments"`
	Count    uint64    `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Level    string    `json:"level"`
	Decision Decision  `json:"decision"`
	Code     string    `json:"code"`
	Control  string    `json:"control"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Findings []struct {
		Control string `json:"control"`
		Code    string `json:"code"`
		Reason  string `json:"reason"`
		Detail  string `json:"detail"`
		Failed  bool   `json:"failed"`
	} `json:"findings"`
	Notes       map[string]string `json:"notes"`
	Credentials []struct {
		Name     string    `json:"name"`
		Provider string    `json:"provider"`
		Role     string    `json:"role"`
		KeyID    string    `json:"key_id"`
		Policy   string    `json:"policy"`
		Expires  time.Time `json:"expires"`
		Kept     bool      `json:"kept"`
	} `json:"credentials"`
	LatencyUS int64 `json:"latency_us"`
	IsError   bool  `json:"is_error"`
	Result    struct {
		Bytes  int    `json:"bytes"`
		Digest string `json:"digest"`
	} `json:"result"`
	Truncated bool `json:"truncated"`
}

// Decode reads an event that [Event.AppendJSON] wrote, or a line of a ledger that
// holds one. Members it does not know are passed over, so that it reads the records
// of later versions; anything that two readers could read differently
// ([mcpsec.CheckJSON]) is an error, and so is an object without time and event.
// What AppendJSON rounds stays rounded: latencies are whole microseconds.
func Decode(line []byte) (*Event, error) {
	if err := mcpsec.CheckJSON(line); err != nil {
		return nil, fmt.Errorf("audit: not a record: %w", err)
	}
	var w wireEvent
	if _, err := json.Parse(line, &w, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return nil, fmt.Errorf("audit: not a record: %w", err)
	}
	if w.Kind == "" || w.Time.IsZero() {
		return nil, errors.New("audit: not a record: no event or no time")
	}
	e := &Event{
		Kind: w.Kind, Time: w.Time, ID: w.ID, Parent: w.Parent, Round: w.Round, Method: w.Method, Name: w.Name,
		Outgoing: w.Outgoing, Principal: Principal(w.Principal), Session: w.Untrusted.Session, Client: w.Untrusted.Client,
		Source: Source(w.Source), Trace: Trace(w.Trace), Tool: Tool(w.Tool), Policy: w.Policy,
		Arguments: Arguments{
			Bytes: w.Arguments.Bytes, Keys: w.Arguments.Keys, More: w.Arguments.More,
			HMAC: w.Arguments.HMAC, Redacted: w.Arguments.Redacted,
		},
		Count: w.Count, First: w.First, Last: w.Last, Level: w.Level,
		Decision: w.Decision, Code: w.Code, Control: w.Control, Reason: w.Reason, Detail: w.Detail,
		Latency: time.Duration(w.LatencyUS) * time.Microsecond,
		IsError: w.IsError, Result: Result(w.Result), Truncated: w.Truncated,
	}
	for _, f := range w.Findings {
		e.Findings = append(e.Findings, Finding(f))
	}
	for path, text := range w.Arguments.Clear {
		e.Arguments.Clear = append(e.Arguments.Clear, Value{path, text})
	}
	slices.SortFunc(e.Arguments.Clear, func(a, b Value) int { return strings.Compare(a.Path, b.Path) })
	for key, value := range w.Notes {
		e.Notes = append(e.Notes, mcpsec.Note{Key: key, Value: value})
	}
	slices.SortFunc(e.Notes, func(a, b mcpsec.Note) int { return strings.Compare(a.Key, b.Key) })
	for _, c := range w.Credentials {
		e.Credentials = append(e.Credentials, mcpsec.Credential(c))
	}
	return e, nil
}
