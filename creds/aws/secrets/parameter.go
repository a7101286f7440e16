package secrets

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/mcpsec/mcpsec-go/creds"
)

// parameterName is a name, or a path of at most 15 levels.
var parameterName = regexp.MustCompile(`^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,14}$`)

// Parameter returns a Provider of a SecureString parameter of AWS Systems Manager, by
// its name or its ARN, without version or label: the newest version is issued. A
// parameter of another type is refused, for it is not encrypted.
//
// The base credentials need ssm:GetParameter on it, and kms:Decrypt if it has a KMS key
// of its own.
func Parameter(name string, opts ...Option) creds.Provider {
	p := newProvider("Parameter Store", name, opts)
	var at arn.ARN
	plain := name
	if arn.IsARN(name) {
		at, _ = arn.Parse(name) // an empty one is refused
		var ok bool
		if plain, ok = strings.CutPrefix(at.Resource, "parameter"); !ok || at.Service != "ssm" || !accountID.MatchString(at.AccountID) || !strings.HasPrefix(plain, "/") {
			p.faultf("need the whole ARN: arn:aws:ssm:REGION:ACCOUNT:parameter/NAME")
		}
	}
	first, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(plain, "/")), "/")
	switch {
	case !parameterName.MatchString(plain) || len(plain) > 1011:
		p.faultf("a name has up to 1011 of A-Z a-z 0-9 _ . - in up to 15 levels, and neither version nor label")
	case strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		p.faultf("names that begin with aws or ssm are not those of secrets; for one of Secrets Manager use secrets.Manager")
	}
	p.place(at)
	p.store = &parameters{name: name, api: ssm.New(ssm.Options{
		Region: p.region, Credentials: p.keys, BaseEndpoint: p.endpoint, HTTPClient: p.http, Retryer: p.retryer(),
	})}
	return p
}

// parameters is the store that is the Parameter Store.
type parameters struct {
	name string // as configured
	api  *ssm.Client
}

func (*parameters) action() string { return "ssm:GetParameter" }

func (p *parameters) current(ctx context.Context) (answer, error) {
	out, err := p.api.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: awssdk.Bool(true)})
	if err != nil {
		return answer{}, describe(ctx, err)
	}
	got := out.Parameter
	switch {
	case got == nil || got.Value == nil || got.Version < 1:
		return answer{}, unreadable("it has no parameter")
	case !p.is(got):
		return answer{}, unreadable("it is about another parameter")
	case got.Type != types.ParameterTypeSecureString:
		return answer{}, fmt.Errorf("the parameter is a %s, which is not encrypted: make it a SecureString", word(string(got.Type)))
	case strings.HasPrefix(*got.Value, "kms:"), strings.HasPrefix(*got.Value, "AQICAH"):
		// What servers that did not decrypt show in place of the value: moto's mark, and
		// the ciphertext of KMS.
		return answer{}, errors.New("the value is ciphertext, so it was not decrypted: look at the endpoint")
	}
	return answer{
		arn: awssdk.ToString(got.ARN), version: strconv.FormatInt(got.Version, 10),
		secret: []byte(*got.Value), request: request(out.ResultMetadata),
	}, nil
}

// is reports whether an answer is about this parameter.
func (p *parameters) is(got *types.Parameter) bool {
	if arn.IsARN(p.name) {
		return awssdk.ToString(got.ARN) == p.name
	}
	return awssdk.ToString(got.Name) == p.name
}

func (*parameters) look(context.Context) ([]string, error) {
	return []string{"Systems Manager does not rotate parameters: whoever writes the next version does."}, nil
}
