package redact

import "strings"

// A kind names a family of secrets in the text that takes the place of one.
type kind uint8

const (
	held kind = iota
	awsKey
	awsSecret
	github
	gitlab
	slack
	stripe
	google
	openai
	anthropic
	npm
	pypi
	jwt
	privateKey
	bearer
	basic
	userinfo
	sendgrid
	twilio
	azure
	vault
	digitalocean
	huggingface
	age
	named
	kinds // their number
)

const opening = "[secret:"

// markers are what stands in place of a secret.
var markers = func() (m [kinds]string) {
	for k, name := range [kinds]string{
		held: "held", awsKey: "aws-key", awsSecret: "aws-secret", github: "github", gitlab: "gitlab", slack: "slack",
		stripe: "stripe", google: "google", openai: "openai", anthropic: "anthropic", npm: "npm", pypi: "pypi", jwt: "jwt",
		privateKey: "private-key", bearer: "bearer", basic: "basic", userinfo: "userinfo", sendgrid: "sendgrid",
		twilio: "twilio", azure: "azure", vault: "vault", digitalocean: "digitalocean", huggingface: "huggingface",
		age: "age", named: "named",
	} {
		m[k] = opening + name + "]"
	}
	return m
}()

// marker returns the length of the marker that s begins with, or 0.
func marker(s string) int {
	for _, m := range markers {
		if strings.HasPrefix(s, m) {
			return len(m)
		}
	}
	return 0
}

// A family finds one kind of secret by what it begins with.
type family struct {
	kind kind
	// begins are literals of at least three bytes. ASCII case counts unless fold is
	// set; a class character is matched by find, which then checks them itself.
	begins []string
	fold   bool
	// apart: not in the middle of a word.
	apart bool
	// rest, at least min characters, follows the literal.
	rest *class
	min  int
	// more finds what a literal and a run cannot say. after is the position after the
	// literal. If there is nothing, to is a position before which another literal of
	// the family cannot succeed either, or 0.
	more func(w window, i, after int) (from, to int, ok bool)
}

// families are in the order in which they are tried at one position. No rule looks
// at what follows its secret, and what a rule finds in a text it also finds if the
// text ends within it, unless the whole is then too short. So a text in which the
// secrets are blanked has none left, and secrets without space between them are found.
var families = [...]family{
	{kind: awsKey, begins: []string{"AKIA", "ASIA"}, rest: upperNum, min: 16},
	{kind: awsKey, begins: []string{"IQoJb3JpZ2lu", "FwoGZXIvYXdz"}, rest: base64any, min: 40}, // session tokens
	{kind: awsSecret, begins: []string{"secret"}, fold: true, more: window.awsSecret},
	{kind: github, begins: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, rest: wordChar, min: 30},
	{kind: gitlab, begins: []string{"glpat-", "gldt-", "glrt-", "glptt-"}, rest: base64url, min: 20},
	{kind: slack, begins: []string{"xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "xoxe-", "xoxe.", "xapp-"}, rest: nameChar, min: 10},
	{kind: slack, begins: []string{"hooks.slack.com"}, fold: true, rest: tokenSlash, min: 20},
	{kind: stripe, begins: []string{"sk_live_", "rk_live_"}, rest: wordChar, min: 16},
	{kind: google, begins: []string{"AIza"}, rest: base64url, min: 35},
	{kind: anthropic, begins: []string{"sk-ant-"}, apart: true, rest: base64url, min: 20},
	{kind: openai, begins: []string{"sk-"}, apart: true, more: window.openai},
	{kind: npm, begins: []string{"npm_"}, rest: alnum, min: 36},
	{kind: pypi, begins: []string{"pypi-"}, rest: base64url, min: 50},
	{kind: jwt, begins: []string{"eyJ"}, more: window.jwt},
	{kind: privateKey, begins: []string{"-----BEGIN"}, more: window.privateKey},
	{kind: bearer, begins: []string{"bearer"}, fold: true, apart: true, more: window.bearer},
	{kind: basic, begins: []string{"basic"}, fold: true, apart: true, more: window.basic},
	{kind: userinfo, begins: []string{"://", `:\/\/`}, more: window.userinfo},
	{kind: sendgrid, begins: []string{"SG."}, apart: true, more: window.sendgrid},
	{kind: twilio, begins: []string{"SK" + anyHex}, apart: true, more: window.twilio},
	{kind: azure, begins: []string{"sig="}, fold: true, apart: true, rest: tokenChar, min: 40},
	{kind: azure, begins: []string{"AccountKey=", "SharedAccessKey="}, fold: true, rest: base64any, min: 40},
	{kind: vault, begins: []string{"hvs.", "hvb.", "hvr."}, apart: true, rest: base64url, min: 20},
	{kind: digitalocean, begins: []string{"dop_v1_", "doo_v1_", "dor_v1_"}, rest: hexChar, min: 40},
	{kind: huggingface, begins: []string{"hf_"}, apart: true, rest: alnum, min: 30},
	{kind: age, begins: []string{"AGE-SECRET-KEY-1"}, fold: true, rest: alnum, min: 40},
	{kind: named, begins: []string{anyName + "=" + anyByte, anyName + ":" + anyByte, anyName + ">" + anyByte}, more: window.named},
}

// These stand for sets of characters in a literal of three.
const (
	anyHex  = "\x00"
	anyName = "\x01"
	anyByte = "\x02"
)

// lead has for each of the first three bytes of a literal the families that may begin
// with it, as bits. It is the filter in front of everything else.
var lead = func() (t [3][256]uint32) {
	sets := map[byte]*class{anyHex[0]: hexChar, anyName[0]: nameEnd, anyByte[0]: chars("\x00\xff")}
	for f := range families {
		for _, literal := range families[f].begins {
			for i := range t {
				c := literal[i]
				for b := range 256 {
					fold := families[f].fold && lower(byte(b)) == lower(c)
					if set := sets[c]; set != nil && set[b] || byte(b) == c || fold {
						t[i][b] |= 1 << f
					}
				}
			}
		}
	}
	return t
}()

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// find looks for a secret of the family at i. If there is none, to is the position
// before which none begins.
func (f *family) find(w window, i int) (from, to int, ok bool) {
	after := f.literal(w.text, i)
	if after == 0 || f.apart && !w.starts(i) {
		return 0, 0, false
	}
	if f.more != nil {
		return f.more(w, i, after)
	}
	if end := w.run(after, f.rest); end-after >= f.min {
		return i, end, true
	}
	return 0, 0, false
}

// literal returns the index after the literal at i, or 0.
func (f *family) literal(t string, i int) int {
	for _, literal := range f.begins {
		if literal[0] <= anyByte[0] || literal[2] <= anyByte[0] {
			return i + len(literal) - 1
		}
		end := i + len(literal)
		if end <= len(t) && (t[i:end] == literal || f.fold && strings.EqualFold(t[i:end], literal)) {
			return end
		}
	}
	return 0
}
