package secrets

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smithymiddleware "github.com/aws/smithy-go/middleware"

	"github.com/mcpsec/mcpsec-go/creds"
)

// stageCurrent is the label that Secrets Manager moves when it has rotated a secret.
const stageCurrent = "AWSCURRENT"

var (
	managerName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`)
	managerARN  = regexp.MustCompile(`^secret:[A-Za-z0-9/_+=.@!-]{1,512}-[A-Za-z0-9]{6}$`)
)

// Manager returns a Provider of a secret in AWS Secrets Manager, by its name or its
// whole ARN: one without the six random characters at its end can mean two secrets. A
// binary secret is issued as the bytes it is.
//
// The base credentials need secretsmanager:GetSecretValue on it, and kms:Decrypt if it
// has a KMS key of its own; what [creds.Prober] tells of its rotation takes
// secretsmanager:DescribeSecret as well.
func Manager(id string, opts ...Option) creds.Provider {
	p := newProvider("Secrets Manager", id, opts)
	var at arn.ARN
	if arn.IsARN(id) {
		var err error
		at, err = arn.Parse(id)
		if err != nil || at.Service != "secretsmanager" || !accountID.MatchString(at.AccountID) || !managerARN.MatchString(at.Resource) {
			p.faultf("need the whole ARN, as DescribeSecret shows it: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-XXXXXX")
		}
	} else if !managerName.MatchString(id) {
		p.faultf("a name has 1 to 512 of A-Z a-z 0-9 / _ + = . @ ! -")
	}
	p.place(at)
	p.store = &manager{id: id, api: secretsmanager.New(secretsmanager.Options{
		Region: p.region, Credentials: p.keys, BaseEndpoint: p.endpoint, HTTPClient: p.http, Retryer: p.retryer(),
	})}
	return p
}

// manager is the store that is Secrets Manager.
type manager struct {
	id  string
	api *secretsmanager.Client
}

func (*manager) action() string { return "secretsmanager:GetSecretValue" }

func (m *manager) current(ctx context.Context) (answer, error) {
	stage := stageCurrent
	out, err := m.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &m.id, VersionStage: &stage})
	if err != nil {
		return answer{}, describe(ctx, err)
	}
	a := answer{arn: awssdk.ToString(out.ARN), version: awssdk.ToString(out.VersionId), secret: out.SecretBinary, request: request(out.ResultMetadata)}
	if out.SecretString != nil {
		clear(a.secret)
		a.secret = []byte(*out.SecretString)
	}
	switch {
	case arn.IsARN(m.id) && a.arn != m.id, !arn.IsARN(m.id) && awssdk.ToString(out.Name) != m.id:
		err = unreadable("it is about another secret")
	case !slices.Contains(out.VersionStages, stage):
		// A version that nobody has tested, such as one that is only pending.
		err = unreadable("it is about a version without the label %s", stage)
	case out.SecretString != nil && len(out.SecretBinary) > 0:
		err = unreadable("it has two secrets")
	}
	if err != nil {
		clear(a.secret)
		return answer{}, err
	}
	return a, nil
}

func (m *manager) look(ctx context.Context) ([]string, error) {
	out, err := m.api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &m.id})
	if err != nil {
		return nil, describe(ctx, err)
	}
	var notes []string
	switch {
	case !awssdk.ToBool(out.RotationEnabled):
		notes = append(notes, "It is not rotated by Secrets Manager.")
	case out.LastRotatedDate != nil:
		notes = append(notes, "It was last rotated at "+out.LastRotatedDate.UTC().Format(time.RFC3339)+".")
	}
	if out.DeletedDate != nil {
		notes = append(notes, fmt.Sprintf("It is scheduled for deletion at %s.", out.DeletedDate.UTC().Format(time.RFC3339)))
	}
	return notes, nil
}

// request is the id under which CloudTrail has a request.
func request(meta smithymiddleware.Metadata) string {
	id, _ := middleware.GetRequestIDMetadata(meta)
	return word(id)
}
