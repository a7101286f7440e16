package aws

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func one(resource string) string {
	text, _ := json.Marshal(resource)
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":` + string(text) + `}}`
}

// case 11: what a session policy must not be is refused at start.
func TestCase11Templates(t *testing.T) {
	t.Parallel()
	const s = "arn:aws:s3:::b/"
	stmt := func(rest string) string { return `{"Version":"2012-10-17","Statement":[` + rest + `]}` }
	pad := func(n int) string { // a template of n characters
		base := len(one(s)) + len("[]")
		return one(s + strings.Repeat("x", n-base))
	}
	for name, tc := range map[string]struct{ text, want string }{
		"2048 characters":                 {pad(2048), ""},
		"2049 characters":                 {pad(2049), "2049 characters"},
		"white space does not count":      {pad(2048) + strings.Repeat(" \n\t", 900), ""},
		"latin 1 counts once":             {one(s + strings.Repeat("é", 1900)), ""},
		"longest value counts":            {one(s + "{{arg.k | segment 2000}}"), "characters"},
		"beyond latin 1":                  {one(s + "日"), "U+00FF"},
		"beyond latin 1, escaped":         {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/\u65e5"}}`, "U+00FF"},
		"malformed":                       {`{"Version":`, "JSON"},
		"empty":                           {`{}`, "Version"},
		"old version":                     {`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}}`, "2012-10-17"},
		"no statements":                   {stmt(``), "empty"},
		"no statement at all":             {`{"Version":"2012-10-17"}`, "no statement"},
		"empty statement":                 {stmt(`{}`), "Effect"},
		"no action":                       {stmt(`{"Effect":"Allow","Resource":"arn:aws:s3:::b/k"}`), "one of Action"},
		"empty actions":                   {stmt(`{"Effect":"Allow","Action":[],"Resource":"arn:aws:s3:::b/k"}`), "not empty"},
		"null action":                     {stmt(`{"Effect":"Allow","Action":[null],"Resource":"arn:aws:s3:::b/k"}`), "not empty"},
		"only denies":                     {stmt(`{"Effect":"Deny","Action":"*","Resource":"*"}`), "allows nothing"},
		"duplicate effect":                {stmt(`{"Effect":"Deny","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "duplicate"},
		"effect in another case":          {stmt(`{"effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "unknown member"},
		"principal":                       {stmt(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "unknown member"},
		"every action":                    {stmt(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/k"}`), "AllowWildcardActions"},
		"every action, spelt otherwise":   {stmt(`{"Effect":"Allow","Action":["s3:GetObject","**"],"Resource":"arn:aws:s3:::b/k"}`), "AllowWildcardActions"},
		"every action, by service":        {stmt(`{"Effect":"Allow","Action":"*:*","Resource":"arn:aws:s3:::b/k"}`), "AllowWildcardActions"},
		"wildcard in service":             {stmt(`{"Effect":"Allow","Action":"s?:GetObject","Resource":"arn:aws:s3:::b/k"}`), "service:Operation"},
		"every action of one service":     {stmt(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/k"}`), "AllowWildcardActions"},
		"all but":                         {stmt(`{"Effect":"Allow","NotAction":"iam:*","Resource":"arn:aws:s3:::b/k"}`), "NotAction"},
		"all resources but":               {stmt(`{"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::b/k"}`), "NotResource"},
		"every resource":                  {one("*"), "AllowWildcardResources"},
		"every resource of a service":     {one("arn:aws:s3:::*"), "AllowWildcardResources"},
		"every resource, spelt otherwise": {one("arn:aws:s3:::?*/*"), "AllowWildcardResources"},
		"wildcard partition":              {one("arn:*:s3:::b/k"), "partition and service"},
		"wildcard service":                {one("arn:aws:*:::b/k"), "partition and service"},
		"denial of no ARN":                {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"b/secret"}`), "need an ARN"},
		"denial of all but no ARN":        {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"},{"Effect":"Deny","Action":"s3:GetObject","NotResource":""}`), "need an ARN"},
		"variable not closed":             {one("arn:aws:s3:::b/{{arg.k | segment 9}}/${aws:PrincipalTag/x"), "no end"},
		"condition not closed":            {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEquals":{"a:b":"${aws:PrincipalTag/x"}}}`), "no end"},
		"choice of nested paths":          {one(s + "{{principal.tenant | one-of acme acme/eu}}/*"), "who the caller is"},
		"tenant behind nested paths":      {one(s + "{{arg.k | one-of a a/b}}/{{principal.tenant | segment 20}}/*"), "who the caller is"},
		"tenant behind a choice":          {one(s + "{{arg.k | one-of a b/c}}/{{principal.tenant | segment 20}}/*"), ""},
		"denial of a variable not closed": {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/x"}`), "no end"},
		"Null cannot be absent":           {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"NullIfExists":{"a:b":"true"}}}`), "no such operator"},
		"no ARN":                          {one("b/k"), "need an ARN"},

		"unknown condition":          {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEqual":{"a:b":"c"}}}`), "no such operator"},
		"empty condition":            {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{}}`), "empty Condition"},
		"condition of none":          {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEquals":{}}}`), "no key"},
		"condition of null":          {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEquals":{"a:b":null}}}`), "not empty"},
		"Sid with a space":           {stmt(`{"Sid":"a b","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "Sid"},
		"Sid twice":                  {stmt(`{"Sid":"a","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"},{"Sid":"a","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "Sid"},
		"every operator":             {stmt(`{"Sid":"a","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"ForAnyValue:StringLike":{"aws:TagKeys":["a","b"]},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"},"Bool":{"aws:SecureTransport":"true"}}},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a","b"]},"ForAllValues:StringEquals":{"aws:TagKeys":"${s3:prefix}"}}}`), ""},
		"placeholder in account":     {one("arn:aws:s3::{{arg.a | segment 12}}:b/k"), "fifth colon"},
		"placeholder for everything": {one("{{arg.a | segment 12}}"), "fifth colon"},
		"placeholder in action":      {stmt(`{"Effect":"Allow","Action":"s3:{{arg.a | segment 9}}","Resource":"arn:aws:s3:::b/k"}`), "service:Operation"},
		"placeholder in sid":         {stmt(`{"Sid":"{{arg.a | segment 9}}","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"}`), "Sid"},
		"placeholder in key":         {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringEquals":{"{{arg.a | segment 9}}":"x"}}}`), "only in the Resource"},
		"placeholder in denial":      {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{{arg.a | segment 9}}"}`), "only in the Resource"},
		"placeholder in negation":    {stmt(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/k","Condition":{"StringNotEquals":{"aws:PrincipalTag/t":"{{arg.a | segment 9}}"}}}`), "only in the Resource"},
		"placeholder in condition":   {stmt(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefix":"{{arg.a | path 90}}"}}}`), ""},
		"prefix of another's name":   {one(s + "{{principal.subject | segment 40}}*"), "side by side"},
		"suffix of another's name":   {one(s + "*{{arg.k | segment 40}}"), "side by side"},
		"dash and star":              {one(s + "{{principal.tenant | segment 20}}-*"), "side by side"},
		"dot and question marks":     {one(s + "{{principal.tenant | segment 20}}.???"), "side by side"},
		"star and dash":              {one(s + "*-{{principal.tenant | segment 20}}"), "side by side"},
		"two with a dash between":    {one(s + "{{principal.tenant | segment 20}}-{{arg.name | segment 20}}"), "side by side"},
		"variable and argument":      {one(s + "${aws:PrincipalTag/tenant}{{arg.name | segment 20}}"), "side by side"},
		"variable, dash, argument":   {one(s + "${aws:PrincipalTag/tenant}-{{arg.name | segment 20}}"), "side by side"},
		"argument and variable":      {one(s + "{{arg.name | segment 20}}${aws:PrincipalTag/tenant}"), "side by side"},
		"variable and star":          {one(s + "${aws:PrincipalTag/tenant}*"), "side by side"},
		"star, dash, variable":       {one(s + "*-${aws:PrincipalTag/tenant}"), "side by side"},
		"choice of prefixes":         {one(s + "{{principal.tenant | one-of acme acme-eu}}-*"), "side by side"},
		"choice of others":           {one(s + "{{principal.tenant | one-of acme other}}-*"), ""},
		"path of a caller, star":     {one(s + "{{principal.subject | path 20}}/*"), "who the caller is"},
		"path of a caller, more":     {one(s + "{{principal.subject | path 20}}/{{arg.name | path 20}}"), "who the caller is"},
		"caller behind a path":       {one(s + "{{arg.name | path 20}}/{{principal.tenant | segment 20}}/*"), "who the caller is"},
		"variable behind a path":     {one(s + "{{arg.name | path 20}}/${aws:PrincipalTag/tenant}/*"), "who the caller is"},
		"path of a caller, alone":    {one(s + "{{principal.subject | path 20}}"), ""},
		"identity and dash":          {one(s + "{{principal.identity}}-{{arg.name | segment 20}}"), ""},
		"caller, slash, path":        {one(s + "{{principal.tenant | segment 20}}/{{arg.name | path 20}}/*"), ""},
		"variable, slash, argument":  {one(s + "${aws:PrincipalTag/tenant}/{{arg.name | segment 20}}"), ""},
		"five of a suffix of six":    {one("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{{arg.name | segment 20}}-?????"), "side by side"},
		"suffix of Secrets Manager":  {one("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{{arg.name | segment 20}}-??????"), ""},
		"with a slash between":       {one(s + "{{principal.subject | segment 40}}/*"), ""},
		"two side by side":           {one(s + "{{arg.a | segment 4}}{{arg.b | segment 4}}"), "side by side"},
		"inside a variable":          {one(s + "${aws:PrincipalTag/{{arg.t | segment 9}}}"), "variable"},
		"making a variable":          {one(s + "${{arg.t | segment 9}}"), "behind a $"},
		"without form":               {one(s + "{{arg.k}}"), "need"},
		"without bound":              {one(s + "{{arg.k | segment}}"), "need"},
		"bound of nothing":           {one(s + "{{arg.k | segment 0}}"), "number"},
		"unknown form":               {one(s + "{{arg.k | any 9}}"), "none of"},
		"unknown source":             {one(s + "{{env.HOME | segment 9}}"), "need arg.NAME"},
		"unknown attribute":          {one(s + "{{principal.email | segment 9}}"), "need arg.NAME"},
		"choice of a wildcard":       {one(s + "{{arg.k | one-of a *}}"), "letters"},
		"not closed":                 {one(s + "{{arg.k | segment 9"), "no end"},
		"identity":                   {one(s + "{{principal.identity}}/*"), ""},
		"variable of AWS":            {one(s + "${aws:PrincipalTag/identity}/*"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseTemplate(tc.text, wide{})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if tc.want == "" {
				return
			}
			r := newRole(readerARN, nil, []Option{Using(chained()), Region("eu-central-1"), SessionPolicy(tc.text)})
			if err := r.Check(creds.Spec{}); err == nil || !strings.Contains(err.Error(), "aws.SessionPolicy") {
				t.Errorf("Check: %v", err)
			}
			if _, err := r.Plan(creds.Spec{}, request(`{}`)); err == nil {
				t.Error("Plan goes on")
			}
			if _, err := r.Issue(t.Context(), creds.Spec{}, request(`{}`)); err == nil {
				t.Error("Issue goes on")
			}
		})
	}
	for _, text := range []string{one("*"), one("arn:aws:s3:::*")} {
		if _, err := parseTemplate(text, wide{resources: true}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := parseTemplate(stmt(`{"Effect":"Allow","Action":["*","s3:*"],"Resource":"arn:aws:s3:::b/k"}`), wide{actions: true}); err != nil {
		t.Error(err)
	}
}

// What is every resource, or up to whoever asks, is refused however it is spelt.
func TestWildcardsByMeaning(t *testing.T) {
	t.Parallel()
	const place = "arn:aws:lambda:eu-central-1:123456789012:"
	condition := func(condition string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":` + condition + `}}`
	}
	act := func(action string) string { return strings.Replace(readLogs, "s3:GetObject", action, 1) }
	const resources, actions, never = "AllowWildcardResources", "AllowWildcardActions", "IfExists"
	for name, tc := range map[string]struct{ text, want string }{
		"every function anywhere":       {one("arn:aws:lambda:*:*:function:*"), resources},
		"a function in any region":      {one("arn:aws:lambda:*:123456789012:function:f"), resources},
		"a function in some regions":    {one("arn:aws:lambda:eu-????????:123456789012:function:f"), resources},
		"a function of any account":     {one("arn:aws:lambda:eu-central-1:*:function:f"), resources},
		"a region that one may choose":  {one("arn:aws:lambda:${aws:RequestedRegion}:123456789012:function:f"), resources},
		"every function":                {one(place + "function:*"), resources},
		"every function, spelt out":     {one(place + "function:?*"), resources},
		"every version of every one":    {one(place + "function:*:prod"), resources},
		"some types":                    {one(place + "func*"), resources},
		"some types, with a name":       {one(place + "*:f"), resources},
		"every table":                   {one("arn:aws:dynamodb:eu-central-1:123456789012:table/*"), resources},
		"every index":                   {one("arn:aws:dynamodb:eu-central-1:123456789012:table/*/index/i"), resources},
		"every type of a choice":        {one("arn:aws:dynamodb:eu-central-1:123456789012:{{arg.a | one-of a/b table}}/*"), resources},
		"every REST API":                {one("arn:aws:apigateway:eu-central-1::/restapis/*"), resources},
		"an object of every bucket":     {one("arn:aws:s3:::*/logs"), resources},
		"every access point":            {one("arn:aws:s3:eu-central-1:123456789012:accesspoint/*"), resources},
		"every secret":                  {one("arn:aws:secretsmanager:eu-central-1:123456789012:secret:*-??????"), resources},
		"the prefix one asks for":       {one("arn:aws:s3:::b/${s3:prefix}/k"), resources},
		"the program one says one is":   {one("arn:aws:s3:::b/${aws:UserAgent}"), resources},
		"where one asks from":           {one("arn:aws:s3:::b/${aws:SourceIp}/k"), resources},
		"the tag one asks for":          {one("arn:aws:s3:::b/${aws:RequestTag/team}/k"), resources},
		"a tag and a default":           {one("arn:aws:s3:::b/${aws:PrincipalTag/team, '*'}/k"), resources},
		"a condition of what one asks":  {condition(`{"StringEquals":{"s3:prefix":"${s3:prefix}"}}`), resources},
		"every action that ends so":     {act("s3:*Object"), actions},
		"every action but one letter":   {act("s3:?*"), actions},
		"a condition if its key exists": {condition(`{"StringEqualsIfExists":{"aws:PrincipalTag/team":"red"}}`), never},
		"a condition of all of none":    {condition(`{"ForAllValues:StringEquals":{"aws:TagKeys":"red"}}`), never},
		"all of none, of another key":   {condition(`{"ForAllValues:StringEquals":{"aws:TagKeys":"red"},"Null":{"aws:PrincipalTag/team":"false"}}`), never},
		"all of none, and it is none":   {condition(`{"ForAllValues:StringEquals":{"aws:TagKeys":"red"},"Null":{"aws:TagKeys":["true","false"]}}`), never},

		"all of some":                  {condition(`{"ForAllValues:StringEquals":{"aws:TagKeys":"red"},"Null":{"aws:tagkeys":"false"}}`), ""},
		"functions by prefix":          {one(place + "function:mcp-*"), ""},
		"versions of a function":       {one(place + "function:f:*"), ""},
		"items of a choice":            {one("arn:aws:dynamodb:eu-central-1:123456789012:table/{{arg.a | one-of a b}}/index/*"), ""},
		"log groups by path":           {one("arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/*"), ""},
		"objects of a bucket":          {one("arn:aws:s3:::b/*"), ""},
		"objects of one's own bucket":  {one("arn:aws:s3:::${AWS:principaltag/team}/*"), ""},
		"objects of an access point":   {one("arn:aws:s3:eu-central-1:123456789012:accesspoint/p/object/*"), ""},
		"a queue by prefix":            {one("arn:aws:sqs:eu-central-1:123456789012:mcp-*"), ""},
		"methods of an API":            {one("arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/GET/*"), ""},
		"a literal star":               {one("arn:aws:s3:::b/${*}"), ""},
		"actions by prefix":            {act("s3:Get*"), ""},
		"a folder of one's account id": {one("arn:aws:s3:::b/${aws:PrincipalAccount}/*"), ""},
	} {
		_, err := parseTemplate(tc.text, wide{})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		_, err = parseTemplate(tc.text, wide{actions: tc.want == actions, resources: tc.want == resources})
		if (err != nil) != (tc.want == never) {
			t.Errorf("%s: the option is no remedy: %v", name, err)
		}
	}
}

// case 15: no argument can widen a policy.
func TestCase15Arguments(t *testing.T) {
	t.Parallel()
	text := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::data/{{arg.where.prefix | path 40}}/{{arg.key | segment 10}}"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::{{arg.bucket | one-of data logs}}"}]}`
	tmpl, err := parseTemplate(text, wide{})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(args string) (string, error) {
		return tmpl.fill(func(p *placeholder) (string, error) { return p.value(request(args)) })
	}
	got, err := fill(`{"bucket":"logs","key":"k=1","where":{"prefix":"a/b/"},"other":1}`)
	if want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::data/a/b//k=1"},` +
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::logs"}]}`; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := fill(`{"bucket":"data","key":-12,"where":{"prefix":"a"}}`); err != nil || !strings.Contains(got, "/-12") {
		t.Errorf("%s, %v", got, err)
	}
	for _, value := range []string{
		`"*"`, `"?"`, `"a*"`, `"${aws:username}"`, `"$"`, `"\"},{\"Effect\":\"Allow\""`, `"\\"`, `"'"`, `".."`, `"."`, `"a..b"`, `"/"`, `"a/b"`, `""`, `" "`,
		`"a b"`, `"a\nb"`, `"a\u0000"`, `"\u202e"`, `"é"`, `"{{arg.key}}"`, `"a:b"`, `"12345678901"`, `null`, `true`, `1.5`, `1e3`, `01`, `["a"]`, `{"a":"b"}`, `"%2e%2e"`, `"a\u002fb"`,
	} {
		for _, args := range []string{
			`{"bucket":"logs","where":{"prefix":"a"},"key":` + value + `}`,
			`{"bucket":` + value + `,"where":{"prefix":"a"},"key":"k"}`,
			`{"bucket":"logs","where":` + value + `,"key":"k"}`,
		} {
			got, err := fill(args)
			d := mcpsec.AsDenial(err)
			if got != "" || d == nil || d.Code != "creds.aws_argument" || d.Kind != mcpsec.BadArguments || !strings.Contains(d.Reason, "argument") {
				t.Errorf("%s: %s, %v", args, got, err)
			}
		}
	}
	for _, value := range []string{`"/a"`, `"a//b"`, `"../a"`, `"a/../b"`, `"a/./b"`, `"//"`, `"a/*"`} {
		if got, err := fill(`{"bucket":"logs","where":{"prefix":` + value + `},"key":"k"}`); err == nil {
			t.Errorf("%s: %s", value, got)
		}
	}
	for _, args := range []string{``, `null`, `[]`, `"x"`, `{}`, `{"bucket":"data"}`, `{"Bucket":"data","key":"k","where":{"prefix":"a"}}`} {
		if got, err := fill(args); err == nil {
			t.Errorf("%s: %s", args, got)
		}
	}
}

// Whatever the arguments are, only the text at the placeholders changes.
func FuzzFill(f *testing.F) {
	text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{{arg.p | path 50}}/{{arg.k | segment 50}}"}}`
	tmpl, err := parseTemplate(text, wide{})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{`{"p":"a/b","k":"c"}`, `{"p":"*","k":"?"}`, `{"p":1,"k":"\"}"}`, `{"p":"..","k":"${a}"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		got, err := tmpl.fill(func(p *placeholder) (string, error) { return p.value(creds.Request{Arguments: args}) })
		if err != nil {
			return
		}
		again, err := parseTemplate(got, wide{})
		if err != nil || len(again.pieces) != 1 || length(got) > tmpl.longest {
			t.Fatalf("%s: %v", got, err)
		}
		resource, _ := strings.CutPrefix(got, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/`)
		resource, ok := strings.CutSuffix(resource, `"}]}`)
		if !ok || strings.ContainsAny(resource, "*?$\"'\\{} :") || strings.Contains(resource, "..") {
			t.Fatalf("%s from %s", got, args)
		}
	})
}

// A template that is accepted is a fixed point: written and read again it says the same.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{readLogs, one("arn:aws:s3:::b/{{arg.k | one-of a b}}"), one("arn:aws:s3:::b/${aws:PrincipalTag/x}/*"),
		`{"Version":"2012-10-17","Id":"i","Statement":[{"Sid":"s","Effect":"Allow","Action":["s3:Get*"],"Resource":["arn:aws:s3:::a/b","arn:aws:s3:::c/d"],"Condition":{"StringLike":{"a:b":["{{principal.identity}}","y"]}}},{"Effect":"Deny","NotAction":"s3:Get*","NotResource":"*"}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := parseTemplate(text, wide{})
		if err != nil {
			return
		}
		filled, err := tmpl.fill(func(p *placeholder) (string, error) {
			v := p.sample()
			if err := p.judge(v); err != nil {
				t.Fatalf("%+v: %v", p, err)
			}
			return v, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseTemplate(filled, wide{})
		if err != nil || len(again.pieces) != 1 || again.pieces[0].text != filled || length(filled) > maxPolicy {
			t.Fatalf("%q became %q: %v", text, filled, err)
		}
		var d document
		if err := json.Unmarshal([]byte(filled), &d); err != nil || len(d.rules()) == 0 {
			t.Fatalf("%q: %v", filled, err)
		}
	})
}
