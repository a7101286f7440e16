package redact

import (
	"strconv"
	"strings"
	"testing"
)

func TestFaultsAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	many := make([]string, maxPointers)
	for i := range many {
		many[i] = "/" + strconv.Itoa(i)
	}
	_, err := New(Config{
		Clear: map[string][]string{
			"*": {"/shared"}, "": {"/a"}, "slash": {"no"}, "tilde": {"/a~2", "/~"}, "long": {"/" + strings.Repeat("x", maxPointer)},
			"deep": {strings.Repeat("/a", maxSegments+1)}, "utf8": {"/\xff"}, "many": many, "fine": {"", "/", "/a/*", "/~0~1/~01", "/-"},
		},
		Names: []string{"", " -_", "\xff", strings.Repeat("x", 65), "fine"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"a tool without a name", `Clear["slash"]: the JSON pointer "no" does not begin with a slash`, `Clear["tilde"]: the JSON pointer "/a~2" has a ~`, `"/~" has a ~`, `Clear["long"]`, "longer than 512 bytes",
		`Clear["deep"]`, "more than 32 segments", `Clear["utf8"]`, "not UTF-8", `Clear["many"]: 65 pointers`, `Config.Names: "" has no letter`, `Config.Names: " -_"`, `Config.Names: "\xff"`, "longer than 64 bytes",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") {
		t.Errorf("too much in\n%v", err)
	}
	if _, err := New(Config{Names: make([]string, maxNames+1)}); err == nil || !strings.Contains(err.Error(), "257 names") {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Names: []string{"card no", "IBAN", "x"}})
	for _, name := range []string{
		"password", "Password", "PASSWD", "db_password", "userPassword", "password2", "passphrase", "pass", "pwd", "DB_PWD", "secret", "clientSecret", "client-secret", "token", "access_token", "accessToken", "idToken",
		"tokens", "refresh.token", "apiKey", "API-Key", "api.key", "api key", "APIKEY", "x-api-key", "authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "private_key", "privateKey", "SSHPrivateKey", "credential",
		"awsCredentials", "session", "session_id", "sessionid", "PHPSESSID_session", "aws_secret_access_key", "AccessKeyId", "pin", "userPIN", "otp", "jwt", "auth", "basicAuth", "oauth2", "bearer", "DATABASE_DSN", "connectionString",
		"pa\u017f\u017fword", "to\u212aen", "card_no", "cardNo", "CARD-NO-2", "cardno", "Iban", "my_iban_1", "x", "a.x", strings.Repeat("n", maxName+1), "secret🔑", "パスワード_password",
	} {
		if !p.names.secret(name) {
			t.Errorf("%q is not secret", name)
		}
	}
	for _, name := range []string{
		"", "path", "author", "authority", "key", "keys", "public_key", "pinned", "spin", "compass", "bypass", "max_tokens", "maxTokens", "total-tokens", "tokenizer", "option", "adopt", "cardinal", "no_card", "ibanez", "xx", "user", "é", "名前", "-", "__proto__",
	} {
		if p.names.secret(name) {
			t.Errorf("%q is secret", name)
		}
	}
	if p := policy(t, Config{Names: []string{"max tokens"}}); !p.names.secret("maxTokens") {
		t.Error("a name of the configuration does not count")
	}
}
