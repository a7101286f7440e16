package bindings

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestFaultsNameTheMemberAndTheRemedy(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: the paths of this file are those of Unix")
	}
	secret := file(t, canary)
	tools := func(grant string) string { return `{"tools": {"list": {"db": ` + grant + `}}}` }
	bases := func(b string) string {
		return `{"bases": {"b": ` + b + `}, "tools": {"list": {"db": {"file": {"path": "/x"}}}}}`
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                  {`{}`, `tools: is empty or missing`},
		"null":                   {`null`, `null in place of the value`},
		"unknown member":         {`{"tools": {}, "tool": {}}`, `unknown member "tool"`},
		"other case":             {`{"Tools": {}}`, `unknown member "Tools"`},
		"twice the same tool":    {`{"tools": {"a": {}, "a": {}}}`, `duplicate`},
		"a tool with nothing":    {`{"tools": {"list": {}}}`, `tools.list: gets nothing`},
		"a tool without name":    {`{"tools": {"": {"db": {"file": {"path": "/x"}}}}}`, `a tool has a name`},
		"null credential":        {tools(`null`), `tools.list.db: is null`},
		"empty credential":       {tools(`{}`), `tools.list.db: is empty: give one of file, keyring, age`},
		"two kinds":              {tools(`{"file": {"path": "/x"}, "keyring": {"service": "s", "user": "u"}}`), `tools.list.db: has file and keyring: give one`},
		"unknown kind":           {tools(`{"env": {"name": "TOKEN"}}`), `unknown member "env"`},
		"member of another kind": {tools(`{"file": {"path": "/x", "base": "b"}}`), `unknown member "base"`},
		"relative path":          {tools(`{"file": {"path": "secret"}}`), `tools.list.db.file.path: "secret" is not an absolute path`},
		"no path":                {tools(`{"file": {}}`), `tools.list.db.file.path: is missing`},
		"no such base":           {tools(`{"vaultKV": {"base": "b", "mount": "m", "path": "p"}}`), `tools.list.db.vaultKV.base: "b" is not under bases: name there a vault`},
		"base of another kind": {`{"bases": {"b": {"azure": {"tenant": "t", "clientId": "c", "token": ` + secret + `}}},
			"tools": {"list": {"db": {"vaultKV": {"base": "b", "mount": "m", "path": "p"}}}}}`, `"b" is another kind of base: this needs a vault`},
		"no length of time":      {tools(`{"gcpToken": {"base": "b", "scopes": [], "lifetime": "15 minutes"}}`), `gcpToken.lifetime: is no length of time`},
		"negative time":          {tools(`{"vaultKV": {"base": "b", "mount": "m", "path": "p", "keep": "-1h"}}`), `vaultKV.keep: is no length of time`},
		"empty boundary":         {tools(`{"gcpToken": {"base": "b", "scopes": [], "boundary": []}}`), `boundary: is empty`},
		"policy as text":         {tools(`{"awsRole": {"base": "b", ` + role + `, "sessionPolicy": "{}"}}`), `sessionPolicy: is a JSON object`},
		"unknown attribute":      {tools(`{"awsRole": {"base": "b", ` + role + `, "principalTags": {"who": "name"}}}`), `principalTags.who: is one of issuer`},
		"role by base and token": {tools(`{"awsRole": {"base": "b", "tokenFile": "/t", "audience": "a", ` + role + `}}`), `has a base and a token`},

		"type of no actor": {tools(`{"oauthExchange": {"base": "b", "audience": ["https://x"], "actorType": "urn:ietf:params:oauth:token-type:jwt"}}`), `oauthExchange.actorType: goes with an actor`},

		"no secret":           {bases(`{"awsKeys": {"id": "AKIA"}}`), `bases.b.awsKeys.secret: is missing: say where`},
		"no such secret":      {bases(`{"awsKeys": {"id": "AKIA", "secret": {"file": {"path": "/nonexistent/mcpsec"}}}}`), `bases.b.awsKeys.secret: stat /nonexistent/mcpsec`},
		"two secrets":         {bases(`{"awsKeys": {"id": "AKIA", "secret": {"file": {"path": "/x"}, "keyring": {"service": "s", "user": "u"}}}}`), `has file and keyring`},
		"two logins":          {bases(`{"vault": {"addresses": ["https://v"], "auth": {"token": {"source": ` + secret + `}, "jwt": {"role": "r", "token": ` + secret + `}}}}`), `auth: has token and jwt`},
		"no login":            {bases(`{"vault": {"addresses": ["https://v"]}}`), `vault.auth: is null`},
		"age in age":          {bases(`{"age": {"path": "/x", "identity": {"age": {"base": "b", "name": "n"}}}}`), `bases.b.age.identity.age: what opens an age file`},
		"age without key":     {bases(`{"age": {"path": "/x"}}`), `is opened by one of identity and passphrase`},
		"both keys of gcp":    {bases(`{"gcp": {"serviceAccount": "s", "token": ` + secret + `, "keyFile": ` + secret + `}}`), `one of token and keyFile`},
		"audience of a key":   {bases(`{"gcp": {"serviceAccount": "s", "audience": "a", "keyFile": ` + secret + `}}`), `go with a token`},
		"roots that are gone": {bases(`{"vault": {"addresses": ["https://v"], "auth": {"token": {"source": ` + secret + `}}, "roots": "/nonexistent/mcpsec"}}`), `vault.roots: stat /nonexistent/mcpsec`},
		"certificate gone":    {bases(`{"azure": {"tenant": "t", "clientId": "c", "certificate": {"certificate": "/nonexistent/c", "key": "/nonexistent/k"}}}`), `azure.certificate: stat /nonexistent/c`},
		"key that is no key":  {bases(`{"oauth": {"tokenUrl": "https://x", "clientId": "c", "auth": {"privateKey": {"key": "` + secretFile(t, canary) + `"}}}}`), `no private key in PEM`},
		"pair that is none": {bases(`{"oauth": {"tokenUrl": "https://x", "clientId": "c", "auth": {"certificate": {"certificate": "` + secretFile(t, canary) +
			`", "key": "` + secretFile(t, canary) + `"}}}}`), `the key is not that of the certificate`},

		// A secret in the file, in each way that people do it.
		"secret instead of a reference": {bases(`{"awsKeys": {"id": "AKIA", "secret": "` + canary + `"}}`), `a secret never stands here`},
		"secret under its own name":     {bases(`{"vault": {"addresses": [], "auth": {"token": "` + canary + `"}}}`), `does not fit`},
		"secret key as the id":          {bases(`{"awsKeys": {"id": "fakeSECRETkey0123456789abcdefghijklmnopq", "secret": ` + secret + `}}`), `bindings.bases.b.awsKeys.id: looks like a secret`},
		"private key as a path":         {bases(`{"oauth": {"tokenUrl": "u", "clientId": "c", "auth": {"privateKey": {"key": "-----BEGIN EC PRIVATE KEY-----\nhunter2"}}}}`), `privateKey.key: looks like a secret`},
		"identity as a path":            {bases(`{"age": {"path": "/x", "identity": {"file": {"path": "AGE-SECRET-KEY-1hunter2"}}}}`), `identity.file.path: looks like a secret`},
		"password in a URL":             {bases(`{"vault": {"addresses": ["https://admin:hunter2@v"], "auth": {"token": {"source": ` + secret + `}}}}`), `addresses.0: looks like a secret`},
		"password of a proxy, escaped":  {tools(`{"awsSecret": {"base": "b", "id": "n", "endpoint": "https://:hunter2%40@v"}}`), `awsSecret.endpoint: looks like a secret`},
		"token as a name":               {`{"tools": {"list": {"ghp_hunter2hunter2hunter2hunter2hunter2": {"file": {"path": "/x"}}}}}`, `bindings.tools.list: looks like a secret`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bound, err := Decode([]byte(c.text))
			if err == nil || bound != nil {
				t.Fatal("is accepted")
			}
			said := err.Error()
			if !strings.Contains(said, c.want) {
				t.Errorf("%s\nwant %s", said, c.want)
			}
			if strings.Contains(said, "hunter2") || strings.Contains(said, "fakeSECRET") {
				t.Errorf("%s repeats the secret", said)
			}
		})
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Decode([]byte(`{"tools": {"a": {}, "b": {"x": {}, "y": {"file": {"path": "p"}}}}}`))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three faults: %v", err)
	}
}

func TestAFileThatOthersMayWriteIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: Windows has no such permissions")
	}
	path := filepath.Join(t.TempDir(), "creds.json")
	text := `{"tools": {"list": {"db": {"file": {"path": "/x"}}}}}`
	for mode, good := range map[os.FileMode]bool{0o644: true, 0o600: true, 0o664: false, 0o646: false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); (err == nil) != good || !good && !strings.Contains(err.Error(), path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.WriteFile(path, []byte(text+strings.Repeat(" ", MaxSize)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file that is too large: %v", err)
	}
	if _, err := Load(filepath.Dir(path)); err == nil {
		t.Error("a folder is read")
	}
}
