package fakeaws

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// CloudTrail is the data plane of CloudTrail Lake: PutAuditEvents.
type CloudTrail struct {
	Channel    string // ARN of the one channel
	ExternalID string // that the channel asks for, if not empty
	Events     []TrailEvent
}

// A TrailEvent is one that was taken.
type TrailEvent struct {
	ID   string
	Data string // JSON text
}

// NewCloudTrail returns the service with one channel.
func NewCloudTrail(channel string) *CloudTrail {
	return &CloudTrail{Channel: "arn:aws:cloudtrail:" + Region + ":" + Account + ":channel/" + channel}
}

// SigningName implements [Service].
func (*CloudTrail) SigningName() string { return "cloudtrail-data" }

// Target implements [Service].
func (*CloudTrail) Target() string { return "/PutAuditEvents" }

var trailID = regexp.MustCompile(`^[-_A-Za-z0-9]{1,128}$`)

// Serve implements [Service].
func (c *CloudTrail) Serve(r *Request) (any, error) {
	var in struct {
		Events []struct {
			ID       string `json:"id"`
			Data     string `json:"eventData"`
			Checksum string `json:"eventDataChecksum"`
		} `json:"auditEvents"`
	}
	switch channel := r.Query.Get("channelArn"); {
	case !strings.HasPrefix(channel, "arn:"):
		return nil, Errorf("InvalidChannelARN", "The specified channel ARN is not valid.")
	case channel != c.Channel:
		return nil, &Error{Status: 404, Code: "ChannelNotFound", Message: "The channel could not be found."}
	case r.Query.Get("externalId") != c.ExternalID:
		return nil, &Error{Status: 403, Code: "ChannelInsufficientPermission", Message: "No permission."}
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if n := len(in.Events); n < 1 || n > 100 || len(r.Body) > 1<<20 {
		return nil, Errorf("ValidationException", "%d events, %d bytes; at most 100 and 1 MB", n, len(r.Body))
	}
	seen := make(map[string]bool)
	for _, e := range in.Events {
		if !trailID.MatchString(e.ID) {
			return nil, Errorf("ValidationException", "Value at 'id' failed to satisfy constraint: %s", trailID)
		}
		if seen[e.ID] {
			return nil, Errorf("DuplicatedAuditEventId", "Two or more entries in the request have the same event ID.")
		}
		seen[e.ID] = true
	}
	type good struct {
		ID      string `json:"id"`
		EventID string `json:"eventID"`
	}
	type bad struct {
		ID      string `json:"id"`
		Code    string `json:"errorCode"`
		Message string `json:"errorMessage"`
	}
	out := struct {
		Successful []good `json:"successful"`
		Failed     []bad  `json:"failed"`
	}{[]good{}, []bad{}}
	for i, e := range in.Events {
		code := r.Refused(i)
		if sum := sha256.Sum256([]byte(e.Data)); code == "" && e.Checksum != "" && e.Checksum != base64.StdEncoding.EncodeToString(sum[:]) {
			code = "InvalidChecksum"
		}
		if code == "" {
			code = checkEvent(e.Data)
		}
		if code != "" {
			out.Failed = append(out.Failed, bad{e.ID, code, "The event could not be ingested."})
			continue
		}
		c.Events = append(c.Events, TrailEvent{e.ID, e.Data})
		out.Successful = append(out.Successful, good{e.ID, rand.Text()})
	}
	return out, nil
}

// EventData is the schema of events from outside AWS.
type EventData struct {
	Version      string `json:"version"`
	UserIdentity struct {
		Type        string          `json:"type"`
		PrincipalID string          `json:"principalId"`
		Details     json.RawMessage `json:"details"`
	} `json:"userIdentity"`
	UserAgent           string          `json:"userAgent"`
	EventSource         string          `json:"eventSource"`
	EventName           string          `json:"eventName"`
	EventTime           string          `json:"eventTime"`
	UID                 string          `json:"UID"`
	RequestParameters   json.RawMessage `json:"requestParameters"`
	ResponseElements    json.RawMessage `json:"responseElements"`
	ErrorCode           string          `json:"errorCode"`
	ErrorMessage        string          `json:"errorMessage"`
	SourceIPAddress     string          `json:"sourceIPAddress"`
	RecipientAccountID  string          `json:"recipientAccountId"`
	AdditionalEventData json.RawMessage `json:"additionalEventData"`
}

// checkEvent returns the code with which an event is refused.
func checkEvent(text string) string {
	var e EventData
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&e) != nil || d.More() {
		return "InvalidData"
	}
	for _, f := range []struct {
		value string
		most  int
		need  bool
	}{
		{e.Version, 256, true}, {e.UserIdentity.Type, 128, true}, {e.UserIdentity.PrincipalID, 1024, true},
		{e.UserAgent, 1024, false}, {e.EventSource, 1024, true}, {e.EventName, 1024, true}, {e.UID, 1024, true},
		{e.ErrorCode, 256, false}, {e.ErrorMessage, 256, false}, {e.EventTime, 32, true},
		{string(e.RequestParameters), 100_000, false}, {string(e.ResponseElements), 100_000, false}, {string(e.AdditionalEventData), 28_000, false},
	} {
		if f.need && f.value == "" {
			return "FieldNotFound"
		}
		if utf8.RuneCountInString(f.value) > f.most {
			return "FieldTooLong"
		}
	}
	for _, object := range []json.RawMessage{e.UserIdentity.Details, e.RequestParameters, e.ResponseElements, e.AdditionalEventData} {
		if len(object) > 0 && !bytes.HasPrefix(object, []byte("{")) {
			return "InvalidData"
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", e.EventTime); err != nil {
		return "InvalidData"
	}
	if _, err := netip.ParseAddr(e.SourceIPAddress); err != nil && e.SourceIPAddress != "" {
		return "InvalidData"
	}
	if e.RecipientAccountID != Account {
		return "InvalidRecipient"
	}
	return ""
}
