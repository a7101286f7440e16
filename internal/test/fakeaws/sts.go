package fakeaws

import (
	"crypto/rand"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// UserKeys are the long-lived keys of the IAM user "server", which [STS] knows. [Keys]
// are there the session of a role, so that a role assumed with them is chained.
var UserKeys = aws.Credentials{ //nolint:gosec // made up
	AccessKeyID:     "AKIAQ3EGFAKEFAKEFAKE",
	SecretAccessKey: "fake/SECRETuser+0123456789abcdefghijklmno",
}

// STS is the Security Token Service: AssumeRole, AssumeRoleWithWebIdentity and
// GetCallerIdentity, in the Query protocol.
type STS struct {
	Roles   map[string]*Role   // by ARN
	Managed map[string]string  // policies by ARN
	Issuers map[string]*Issuer // OIDC providers of the account, by URL
	// Life, if not zero, is how long sessions live, whatever was asked.
	Life time.Duration
	// Change, if not nil, is shown each answer before it is sent.
	Change func(*Issued)
	// Sessions are those of the issued keys, by access key id.
	Sessions map[string]*Session

	trust func(aws.Credentials)
}

// A Role is one that can be assumed.
type Role struct {
	Trust       string        // the policy that says who may
	Policy      string        // what it may do
	MaxDuration time.Duration // zero is one hour
}

// A Session is what keys stand for.
type Session struct {
	ARN            string
	Role           *Role // nil for a user
	Policies       []*policy
	Narrowed       bool // has session policies
	Tags           map[string]string
	Transitive     []string // in lower case
	SourceIdentity string
	Name           string
	Request        url.Values // as it came
}

// Issued is the answer to AssumeRole and AssumeRoleWithWebIdentity.
type Issued struct {
	XMLName          xml.Name
	AccessKeyID      string `xml:"Credentials>AccessKeyId"`
	SecretAccessKey  string `xml:"Credentials>SecretAccessKey"`
	SessionToken     string `xml:"Credentials>SessionToken"`
	Expiration       string `xml:"Credentials>Expiration,omitempty"`
	ARN              string `xml:"AssumedRoleUser>Arn"`
	AssumedRoleID    string `xml:"AssumedRoleUser>AssumedRoleId"`
	SourceIdentity   string `xml:"SourceIdentity,omitempty"`
	TokenUtilization string `xml:"SessionTokenUtilization,omitempty"`
}

// NewSTS returns the service without roles.
func NewSTS() *STS {
	return &STS{
		Roles: make(map[string]*Role), Managed: make(map[string]string), Issuers: make(map[string]*Issuer),
		Sessions: map[string]*Session{
			Keys.AccessKeyID:     {ARN: "arn:aws:sts::" + Account + ":assumed-role/base/host", Role: &Role{}},
			UserKeys.AccessKeyID: {ARN: "arn:aws:iam::" + Account + ":user/server"},
		},
	}
}

var (
	_ Router = (*STS)(nil)
	_ issuer = (*STS)(nil)
)

// SigningName implements [Service].
func (*STS) SigningName() string { return "sts" }

// Target implements [Service].
func (*STS) Target() string { return "" }

// Anonymous implements [Router].
func (*STS) Anonymous(operation string) bool { return operation == "AssumeRoleWithWebIdentity" }

func (s *STS) issueFor(server *Server) {
	s.trust = server.Trust
	server.Trust(UserKeys)
}

// Route implements [Router].
func (*STS) Route(r *http.Request, body []byte) (string, bool) {
	if r.Method != http.MethodPost || r.URL.Path != "/" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return "", false
	}
	form, err := url.ParseQuery(string(body))
	return form.Get("Action"), err == nil && form.Get("Version") == "2011-06-15"
}

// queryCodes are the names that the Query protocol has for errors of all services.
var queryCodes = map[string]string{
	"ExpiredTokenException": "ExpiredToken", "UnrecognizedClientException": "InvalidClientTokenId", "InvalidSignatureException": "SignatureDoesNotMatch",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken", "IncompleteSignatureException": "IncompleteSignature", "ThrottlingException": "Throttling",
}

// WriteError implements [Router].
func (*STS) WriteError(w http.ResponseWriter, e *Error) {
	type said struct {
		Type    string `xml:"Type"`
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
	}
	status, code := e.Status, e.Code
	if queryCodes[code] != "" {
		status, code = http.StatusForbidden, queryCodes[code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	text, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     said     `xml:"Error"`
		RequestID string   `xml:"RequestId"`
	}{Error: said{"Sender", code, e.Message}, RequestID: w.Header().Get(requestID)})
	if err != nil {
		text = []byte("<ErrorResponse/>")
	}
	write(w, status, "text/xml", text)
}

// Serve implements [Service].
func (s *STS) Serve(r *Request) (any, error) {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, Errorf("MalformedInput", "%v", err)
	}
	var out any
	switch r.Operation {
	case "AssumeRole":
		out, err = s.assumeRole(r, form)
	case "AssumeRoleWithWebIdentity":
		out, err = s.withWebIdentity(r, form)
	case "GetCallerIdentity":
		session := s.Sessions[r.Keys.AccessKeyID]
		out = struct {
			XMLName xml.Name
			ARN     string `xml:"Arn"`
			UserID  string `xml:"UserId"`
			Account string `xml:"Account"`
		}{xml.Name{Local: "GetCallerIdentityResult"}, session.ARN, "AROAFAKE:" + session.Name, Account}
	default:
		return nil, Errorf("InvalidAction", "Could not find operation %s", r.Operation)
	}
	if err != nil {
		return nil, err
	}
	result, err := xml.Marshal(out)
	if err != nil {
		return nil, err
	}
	body := slices.Concat([]byte("<"+r.Operation+"Response>"), result, []byte("</"+r.Operation+"Response>"))
	return Raw{"text/xml", body}, nil
}

func invalid(format string, args ...any) error {
	return Errorf("ValidationError", "1 validation error detected: "+format, args...)
}

var (
	name264    = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalID = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
)

// assumeRole is AssumeRole.
func (s *STS) assumeRole(r *Request, form url.Values) (*Issued, error) {
	caller := s.Sessions[r.Keys.AccessKeyID]
	asked := &Session{Name: form.Get("RoleSessionName"), SourceIdentity: form.Get("SourceIdentity"), Request: form}
	if err := s.validate(form, asked, caller.Role != nil); err != nil {
		return nil, err
	}
	if err := tagged(form, asked, caller); err != nil {
		return nil, err
	}
	role := s.Roles[form.Get("RoleArn")]
	refused := func(action string) error {
		return &Error{
			Status: http.StatusForbidden, Code: "AccessDenied",
			Message: "User: " + caller.ARN + " is not authorized to perform: " + action + " on resource: " + form.Get("RoleArn"),
		}
	}
	if caller.SourceIdentity != "" {
		if asked.SourceIdentity != "" && asked.SourceIdentity != caller.SourceIdentity {
			return nil, refused("sts:SetSourceIdentity")
		}
		asked.SourceIdentity = caller.SourceIdentity
	}
	keys := map[string]string{}
	put := func(key, value string) {
		if value != "" {
			keys[strings.ToLower(key)] = value
		}
	}
	put("sts:ExternalId", form.Get("ExternalId"))
	put("sts:SourceIdentity", asked.SourceIdentity)
	put("sts:RoleSessionName", asked.Name)
	for key, value := range asked.Tags {
		put("aws:RequestTag/"+key, value)
	}
	actions := []string{"sts:AssumeRole"}
	if len(asked.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if asked.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		if role == nil || !trusts(role, principalOf(caller.ARN), action, keys) {
			return nil, refused(action)
		}
	}
	return s.issue(r, form, asked, role, "AssumeRoleResult")
}

// principalOf is what a trust policy calls a caller: a session by its role.
func principalOf(arn string) string {
	if rest, ok := strings.CutPrefix(arn, "arn:aws:sts::"+Account+":assumed-role/"); ok {
		role, _, _ := strings.Cut(rest, "/")
		return "arn:aws:iam::" + Account + ":role/" + role
	}
	return arn
}

func trusts(role *Role, principal, action string, keys map[string]string) bool {
	p, err := parsePolicy(role.Trust, true)
	return err == nil && decide([]*policy{p}, principal, action, "", keys) == allow
}

// validate holds a request to the limits of the API, and reads its session policies.
func (s *STS) validate(form url.Values, asked *Session, chained bool) error {
	if arn := form.Get("RoleArn"); len(arn) < 20 || len(arn) > 2048 || !strings.HasPrefix(arn, "arn:aws:iam::") {
		return invalid("Value '%s' at 'roleArn' failed to satisfy constraint: is not a valid ARN", arn)
	}
	if !name264.MatchString(asked.Name) {
		return invalid("Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", asked.Name)
	}
	if si := asked.SourceIdentity; si != "" && !name264.MatchString(si) {
		return invalid("Value '%s' at 'sourceIdentity' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", si)
	}
	if id, given := form["ExternalId"]; given && (len(id[0]) < 2 || len(id[0]) > 1224 || !externalID.MatchString(id[0])) {
		return invalid("Value '%s' at 'externalId' failed to satisfy constraint", id[0])
	}
	if err := s.validateDuration(form, chained); err != nil {
		return err
	}
	return s.validatePolicies(form, asked)
}

func (s *STS) validateDuration(form url.Values, chained bool) error {
	if d := form.Get("DurationSeconds"); d != "" {
		seconds, err := strconv.Atoi(d)
		if err != nil || seconds < 900 || seconds > 43200 {
			return invalid("Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900", d)
		}
		if chained && seconds > 3600 {
			return Errorf("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
		}
		most := time.Hour
		if role := s.Roles[form.Get("RoleArn")]; role != nil && role.MaxDuration != 0 {
			most = role.MaxDuration
		}
		if time.Duration(seconds)*time.Second > most {
			return Errorf("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
		}
	}
	return nil
}

func (s *STS) validatePolicies(form url.Values, asked *Session) error {
	size := 0
	if text := form.Get("Policy"); text != "" {
		size = utf8.RuneCountInString(text)
		if strings.ContainsFunc(text, func(r rune) bool { return r > 0xff || r < 0x20 && r != '\t' && r != '\n' && r != '\r' }) {
			return invalid("Value at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+")
		}
		p, err := parsePolicy(text, false)
		if err != nil {
			return Errorf("MalformedPolicyDocument", "%v", err)
		}
		asked.Policies, asked.Narrowed = append(asked.Policies, p), true
	}
	arns := members(form, "PolicyArns", "arn")
	for _, arn := range arns {
		size += len(arn)
		p, err := parsePolicy(s.Managed[arn], false)
		if err != nil {
			return Errorf("InvalidParameterValue", "policy %s does not exist or is not attachable", arn)
		}
		asked.Policies, asked.Narrowed = append(asked.Policies, p), true
	}
	if len(arns) > 10 || size > 2048 {
		return invalid("Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048")
	}
	return nil
}

// members are the entries of a list of structures in the Query protocol.
func members(form url.Values, list, member string) []string {
	var out []string
	for i := 1; ; i++ {
		key := list + ".member." + strconv.Itoa(i)
		if member != "" {
			key += "." + member
		}
		value, ok := form[key]
		if !ok {
			return out
		}
		out = append(out, value[0])
	}
}

var (
	tagKey   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
	tagValue = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
)

// tagged reads the session tags, to which the caller's transitive ones are added.
func tagged(form url.Values, asked, caller *Session) error {
	keys, values := members(form, "Tags", "Key"), members(form, "Tags", "Value")
	if len(keys) != len(values) || len(keys) > 50 {
		return invalid("Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
	}
	asked.Tags = make(map[string]string)
	seen := make(map[string]bool)
	for i, key := range keys {
		lower := strings.ToLower(key)
		switch {
		case !tagKey.MatchString(key), !tagValue.MatchString(values[i]):
			return invalid("Value at 'tags.%d.member' failed to satisfy constraint", i+1)
		case strings.HasPrefix(lower, "aws:"):
			return Errorf("InvalidParameterValue", "System tags cannot be added/updated by requester")
		case seen[lower]:
			return Errorf("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case slices.Contains(caller.Transitive, lower):
			return Errorf("InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		seen[lower], asked.Tags[key] = true, values[i]
	}
	for _, key := range members(form, "TransitiveTagKeys", "") {
		if !seen[strings.ToLower(key)] {
			return Errorf("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
		asked.Transitive = append(asked.Transitive, strings.ToLower(key))
	}
	inherited := maps.Clone(caller.Tags)
	maps.DeleteFunc(inherited, func(key, _ string) bool { return !slices.Contains(caller.Transitive, strings.ToLower(key)) })
	maps.Copy(asked.Tags, inherited)
	asked.Transitive = append(asked.Transitive, caller.Transitive...)
	return nil
}

// issue makes the session and its keys.
func (s *STS) issue(r *Request, form url.Values, asked *Session, role *Role, result string) (*Issued, error) {
	asked.Role = role
	arn := form.Get("RoleArn")
	asked.ARN = "arn:aws:sts::" + strings.Split(arn, ":")[4] + ":assumed-role/" + arn[strings.LastIndex(arn, "/")+1:] + "/" + asked.Name
	life := time.Hour
	if d, err := strconv.Atoi(form.Get("DurationSeconds")); err == nil {
		life = time.Duration(d) * time.Second
	}
	if s.Life != 0 {
		life = s.Life
	}
	keys := aws.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text()[:14], SessionToken: "FwoGZXIvYXdz" + rand.Text() + rand.Text(),
		CanExpire: true, Expires: r.Now.Add(life).Truncate(time.Second),
	}
	if s.Life != 0 {
		keys.Expires = r.Now.Add(life)
	}
	s.trust(keys)
	s.Sessions[keys.AccessKeyID] = asked
	out := &Issued{
		XMLName:     xml.Name{Local: result},
		AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken,
		Expiration: keys.Expires.UTC().Format(time.RFC3339Nano), ARN: asked.ARN, AssumedRoleID: "AROAFAKE:" + asked.Name,
		SourceIdentity: asked.SourceIdentity, TokenUtilization: "12",
	}
	if s.Change != nil {
		s.Change(out)
	}
	return out, nil
}

// allowed decides an action of a holder of keys: the role's policy and, if there are
// session policies, one of those must allow it, and none may deny it.
func (s *STS) allowed(keys aws.Credentials, action, resource string) bool {
	session := s.Sessions[keys.AccessKeyID]
	if session == nil || session.Role == nil || session.Role.Policy == "" {
		return false
	}
	identity, err := parsePolicy(session.Role.Policy, false)
	if err != nil {
		return false
	}
	context := map[string]string{}
	for key, value := range session.Tags {
		context["aws:principaltag/"+strings.ToLower(key)] = value
	}
	if session.SourceIdentity != "" {
		context["aws:sourceidentity"] = session.SourceIdentity
	}
	if decide([]*policy{identity}, "", action, resource, context) != allow {
		return false
	}
	return !session.Narrowed || decide(session.Policies, "", action, resource, context) == allow
}
