package redact

import (
	"encoding/base64"
	"strings"
	"testing"
)

// The secrets below are put together here, so that no scanner takes this file for a
// leak.
var (
	letters = "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zC0fL" // 32
	long    = letters + letters + letters
	hexes   = "0123456789abcdef0123456789abcdef"
	header  = "eyJ" + "hbGciOiJIUzI1NiJ9"
	block   = "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE" + letters + "\n" + letters + "\n-----END RSA PRIVATE KEY-----"
	amazon  = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
)

func TestFamilies(t *testing.T) {
	t.Parallel()
	userPassword := base64.StdEncoding.EncodeToString([]byte("alice:open sesame"))
	tests := []struct{ name, text, want string }{
		{"AWS access key", "key AKIA" + "IOSFODNN7EXAMPLE denied", "key [secret:aws-key] denied"},
		{"AWS temporary key", "ASIA" + "IOSFODNN7EXAMPLE", "[secret:aws-key]"},
		{"AWS keys without space", "AKIA" + "IOSFODNN7EXAMPLEAKIA" + "IOSFODNN7EXAMPL2", "[secret:aws-key]"},
		{"AWS session token", "IQoJb3JpZ2lu" + "X2Vj" + long + "==", "[secret:aws-key]"},
		{"AWS secret, spaced", "set aws_secret_access_key " + amazon, "set aws_secret_access_key [secret:aws-secret]"},
		{"AWS secret, ini", "aws_secret_access_key = " + amazon + "\n", "aws_secret_access_key = [secret:aws-secret]\n"},
		{"AWS secret, JSON", `{"SecretAccessKey":"` + amazon + `"}`, `{"SecretAccessKey":"[secret:aws-secret]"}`},
		{"AWS secret, markup", `<SecretAccessKey>` + amazon + `</SecretAccessKey>`, `<SecretAccessKey>[secret:aws-secret]</SecretAccessKey>`},
		{"GitHub", "ghp_" + letters + "abcd, gho_" + letters + "abcd ghu_" + letters + "abcd", "[secret:github], [secret:github] [secret:github]"},
		{"GitHub app", "ghs_" + letters + "abcd ghr_" + letters + "abcd", "[secret:github] [secret:github]"},
		{"GitHub fine-grained", "github_pat_" + "11AAAAAAA0" + letters + "_" + letters, "[secret:github]"},
		{"GitLab", "glpat-" + letters[:20], "[secret:gitlab]"},
		{"Slack", "xoxb-" + "123456789012-" + letters + " xapp-1-" + letters, "[secret:slack] [secret:slack]"},
		{"Slack webhook", "POST https://hooks.slack.com" + "/services/T00000000/B00000000/" + letters + ": 403", "POST https://[secret:slack]: 403"},
		{"Slack webhook, escaped", `https:\/\/hooks.slack.com` + `\/services\/T00000000\/B00000000\/` + letters, `https:\/\/[secret:slack]`},
		{"Stripe", "sk_live_" + letters + " rk_live_" + letters, "[secret:stripe] [secret:stripe]"},
		{"Google", "AIza" + letters + "abc", "[secret:google]"},
		{"OpenAI", "sk-" + letters + letters[:16], "[secret:openai]"},
		{"OpenAI project", "sk-proj-" + letters + "_-" + letters, "[secret:openai]"},
		{"sk- with hexadecimal digits", "sk-or-v1-" + hexes + hexes, "[secret:openai]"},
		{"Anthropic", "sk-ant-" + "api03-" + long + "-AA", "[secret:anthropic]"},
		{"npm", "npm_" + letters + "abcd", "[secret:npm]"},
		{"npm twice", "npm_npm_" + letters + "abcd", "npm_[secret:npm]"},
		{"PyPI", "pypi-" + "AgEIcHlwaS5vcmcC" + long, "[secret:pypi]"},
		{"JWT", header + ".eyJ" + "zdWIiOiIxIn0." + letters + "!", "[secret:jwt]!"},
		{"JWT without signature", header + ".eyJ" + "zdWIiOiIxIn0.", "[secret:jwt]"},
		{"JWT cut off", header + ".eyJzd", "[secret:jwt]"},
		{"JWE", header + ".." + letters + "." + letters + "." + letters, "[secret:jwt]"},
		{"PEM", "key:\n" + block + "\nend", "key:\n[secret:private-key]\nend"},
		{"PEM on one line", strings.ReplaceAll(block, "\n", `\n`), "[secret:private-key]"},
		{"PEM in the environment", "TLS_PRIVATE_KEY=" + block + "\nX=1", "TLS_PRIVATE_KEY=[secret:named]\nX=1"},
		{"PEM in YAML", "private_key: " + block + "\nx: 1", "private_key: [secret:private-key]\nx: 1"},
		{"PEM in a form", strings.ReplaceAll(strings.ReplaceAll(block, "\n", "%0A"), " ", "+"), "[secret:private-key]"},
		{"PEM cut off", block[:80], "[secret:private-key]"},
		{"PEM of other makes", "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----, -----BEGIN PGP " + "PRIVATE KEY BLOCK-----\nx", "[secret:private-key], [secret:private-key]"},
		{"PEM, key with other secrets in it", "-----BEGIN " + "PRIVATE KEY-----\nAKIA" + "IOSFODNN7EXAMPLE\nmore\n-----END PRIVATE KEY-----.", "[secret:private-key]."},
		{"bearer", "Authorization: Bearer " + letters, "Authorization: Bearer [secret:named]"},
		{"bearer alone", "sent bearer  mF_9.B5f-4.1JqM, got 401", "sent bearer  [secret:bearer], got 401"},
		{"bearer in a URL", "?h=Bearer%20" + letters + "&x=1", "?h=Bearer%20[secret:bearer]&x=1"},
		{"basic", "Basic " + userPassword, "Basic [secret:basic]"},
		{"basic header", "Authorization: Basic " + userPassword, "Authorization: Basic [secret:named]"},
		{"URL password", "dial postgres://app:hunter2@db:5432/x: refused", "dial postgres://[secret:userinfo]@db:5432/x: refused"},
		{"URL password without user", "redis://:hunter2@cache", "redis://[secret:userinfo]@cache"},
		{"URL password with @", "mysql://root:p@ss@db/x", "mysql://[secret:userinfo]@db/x"},
		{"URL password, escaped slashes", `https:\/\/u:pw@h\/x`, `https:\/\/[secret:userinfo]@h\/x`},
		{"URL password after a URL", `x://y.hooks:\/\/u:p@h`, `x://y.hooks:\/\/[secret:userinfo]@h`},
		{"URL password not ASCII", "amqp://u:pässwort@h", "amqp://[secret:userinfo]@h"},
		{"SendGrid", "SG." + letters[:22] + "." + letters + "abcdefghijk", "[secret:sendgrid]"},
		{"Twilio", "SK" + hexes, "[secret:twilio]"},
		{"Azure SAS", "https://x.blob.core.windows.net/c?sv=2024&sig=" + letters + "%2Babcdefg%3D&se=1", "https://x.blob.core.windows.net/c?sv=2024&[secret:azure]&se=1"},
		{"Azure account key", "AccountName=x;AccountKey=" + letters + letters + "==;", "AccountName=x;[secret:azure];"},
		{"Vault", "hvs." + "CAESI" + letters, "[secret:vault]"},
		{"DigitalOcean", "dop_v1_" + hexes + hexes, "[secret:digitalocean]"},
		{"Hugging Face", "hf_" + letters + "ab", "[secret:huggingface]"},
		{"age", "AGE-SECRET-" + "KEY-1" + strings.ToUpper(letters) + strings.ToUpper(letters)[:26], "[secret:age]"},
		{"password=", "connect: host=db password=hunter2 user=x", "connect: host=db password=[secret:named] user=x"},
		{"query", "GET /x?access_token=abc&n=1", "GET /x?access_token=[secret:named]&n=1"},
		{"JSON", `{"user":"x","apiKey":"a b\"c","n":1}`, `{"user":"x","apiKey":"[secret:named]","n":1}`},
		{"JSON in JSON", `"{\"api-key\":\"a\\\"b\",\"n\":1}"`, `"{\"api-key\":\"[secret:named]\",\"n\":1}"`},
		{"YAML", "db_password: hunter22", "db_password: [secret:named]"},
		{"Go map", "map[password:hunter2 user:x]", "map[password:[secret:named] user:x]"},
		{"Go struct", "{User:x Password:swordfish N:1}", "{User:x Password:[secret:named] N:1}"},
		{"quotes in quotes", `password="'x y'" z`, `password="[secret:named]" z`},
		{"values of values", "token=password=x;y", "token=[secret:named];y"},
		{"Go assignment", `password := "x y"`, `password := "[secret:named]"`},
		{"index", `h["X-Api-Key"] = 'x'`, `h["X-Api-Key"] = '[secret:named]'`},
		{"markup", `<Password> a b </Password>`, `<Password> [secret:named]</Password>`},
		{"header of another scheme", "authorization: token abcdef", "authorization: token [secret:named]"},
		{"cookie", "Cookie: a=b; c=d\nHost: x", "Cookie: [secret:named]\nHost: x"},
	}
	p := policy(t, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, hit := p.Text(test.text)
			if got != test.want || hit != (test.text != test.want) {
				t.Errorf("%q\ngot  %q %v\nwant %q", test.text, got, hit, test.want)
			}
		})
	}
}

// The same secrets where words and escapes touch them.
func TestFamiliesAnywhere(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{})
	for kind, secret := range map[string]string{
		"aws-key": "AKIA" + "IOSFODNN7EXAMPLE", "github": "ghp_" + letters + "abcd", "gitlab": "glpat-" + letters[:20], "slack": "xoxp-" + letters,
		"stripe": "sk_live_" + letters, "google": "AIza" + letters + "abc", "openai": "sk-" + letters, "anthropic": "sk-ant-" + letters, "npm": "npm_" + letters + "abcd",
		"pypi": "pypi-" + long, "jwt": header + "." + letters + "." + letters, "private-key": block, "sendgrid": "SG." + letters[:22] + "." + letters,
		"twilio": "SK" + hexes, "vault": "hvs." + letters, "digitalocean": "dop_v1_" + hexes + hexes, "huggingface": "hf_" + letters, "age": "AGE-SECRET-" + "KEY-1" + letters + letters,
	} {
		for _, around := range [][2]string{
			{"", ""}, {" ", " "}, {`"`, `"`}, {"(", ")."}, {"x:", ","}, {`\n`, `\n`}, {"%3D", "%26"}, {`\u0026`, `\u0026`}, {"a=", "&b"}, {"é", "é"}, {"[", "]"},
			{"[secret:held]", "[secret:held]"}, {"[secret:", "]"}, {"/", "/"}, {"\x00", "\x00"}, {"ASIA" + "IOSFODNN7EXAMPL3 ", ""}, {"https://u:p@", "/"},
		} {
			got, hit := p.Text(around[0] + secret + around[1])
			if !hit || strings.Contains(got, secret[len(secret)/2:]) || strings.Contains(got, secret[:len(secret)/2]) {
				t.Errorf("%s between %q: %q", kind, around, got)
			}
		}
	}
}

// What only looks like a secret stays: the record must remain readable.
func TestNearMisses(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{})
	for name, text := range map[string]string{
		"AWS, one short": "AKIA" + "IOSFODNN7EXAMPL", "AWS, lower case": "akiaiosfodnn7example", "AWS secret, one short": "secret access key " + amazon[1:],
		"AWS prose": "the secret access key is missing from the configuration of this profile", "GitHub, short": "ghp_" + letters[:20], "GitHub, prose": "ghp_token and github_pat_ prefixes",
		"GitLab, short": "glpat-" + letters[:10], "Slack, short": "xoxb-abc", "Slack host": "see https://hooks.slack.com/services/", "Stripe, test": "sk_test_" + letters, "Stripe, prose": "sk_live_ keys",
		"Google, short": "AIza" + letters[:30], "sk-, words": "sk-learn-pipeline-with-many-words", "sk-, in a word": "task-" + letters, "sk-, short": "sk-12345", "npm, prose": "npm_config_registry_of_the_user_is_not_set_here",
		"npm, short": "npm_" + letters, "PyPI, package": "pypi-simple-index-mirror", "JWT, header alone": header, "JWT, cursor": "eyJpZCI6MTIzNDU2fQ==", "JWT, short parts": "eyJ.a.b",
		"PEM, certificate": "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "PEM, public key": "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "PEM, line of dashes": "----------",
		"bearer, prose": "bearer authentication required; a bearer token", "bearer, nothing": "Bearer ", "basic, prose": "Basic authentication2 and Basic functionality are Basic dGVzdA==",
		"URL": "https://example.com:8080/@scope/pkg?x=a:b@c", "URL with user": "ssh://git@github.com/x", "URL, empty password": "http://u:@h", "no URL": "://a:b@c", "email": "mailto: a:b@c.d",
		"SendGrid, short": "SG.abc.def", "SendGrid, prose": "SG. " + letters, "Twilio, one short": "SK" + hexes[1:], "Twilio, account": "AC" + hexes, "Twilio, in a word": "TASK" + hexes,
		"SAS, short": "&sig=abc", "Vault, host": "hvs.example.com", "DigitalOcean, short": "dop_v1_" + hexes, "Hugging Face, name": "hf_hub_download", "Hugging Face, in a word": "shelf_" + letters,
		"age, public": "age1" + letters + letters, "prose with a colon": "invalid token: expected a comma; password: required; unknown authorization: denied by policy",
		"count": "max_tokens=4096&total_tokens=12", "no value": `password= , "token":"", secret:`, "blanked before": "password=[argument]", "name in the middle": "password policy=strict",
		"other JSON": `{"path":"/etc/hosts","author":"x","pinned":true,"keys":["a"]}`, "digests": "sha256:" + hexes + hexes, "UUID": "id: 123e4567-e89b-12d3-a456-426614174000",
		"markup": "a<b>secret", "placeholder": "--token <token> --verbose", "placeholder, another after it": "<token> <secret>", "type": "Map<uri, Set<sessionId>>", "empty markup": "<secret></secret>",
		"PEM, first line quoted": "begins with ``-----BEGIN RSA " + "PRIVATE KEY-----``", "PEM, first line at the end": "begins with -----BEGIN RSA " + "PRIVATE KEY-----",
		"ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db", "empty in quotes": `password="" secret='' "token":""  {\"token\":\"\"}`,
		"token, prose": "nextToken: Token for the next page", "basic, short": "Basic OnB3", "basic, no text": "Basic //79Onh4eHh4", "arrow": "token -> x",
	} {
		if got, hit := p.Text(text); hit {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}
