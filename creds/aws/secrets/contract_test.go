package secrets

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// managed is Secrets Manager as the owner of a secret sees it.
type managed struct{ api *secretsmanager.Client }

func (m managed) create(ctx context.Context, name, value string) error {
	_, err := m.api.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	return err
}

// pending adds a version that nobody has tested.
func (m managed) pending(ctx context.Context, name, value string) (version string, err error) {
	version = strings.ToLower(rand.Text() + rand.Text())[:36]
	_, err = m.api.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &name, SecretString: &value, ClientRequestToken: &version, VersionStages: []string{"AWSPENDING"},
	})
	return version, err
}

// finish makes a pending version the current one, as the last step of a rotation does.
func (m managed) finish(ctx context.Context, name, version string) error {
	now, err := m.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: awssdk.String(stageCurrent)})
	if err != nil {
		return err
	}
	_, err = m.api.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: awssdk.String(stageCurrent), MoveToVersionId: &version, RemoveFromVersionId: now.VersionId,
	})
	return err
}

func (m managed) rotate(ctx context.Context, name, value string) error {
	version, err := m.pending(ctx, name, value)
	if err != nil {
		return err
	}
	return m.finish(ctx, name, version)
}

func (m managed) remove(ctx context.Context, name string) error {
	_, err := m.api.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name})
	return err
}

// stored is the Parameter Store as the owner of a parameter sees it.
type stored struct{ api *ssm.Client }

func (s stored) create(ctx context.Context, name, value string) error {
	_, err := s.api.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString})
	return err
}

func (s stored) rotate(ctx context.Context, name, value string) error {
	_, err := s.api.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Overwrite: awssdk.Bool(true), Type: types.ParameterTypeSecureString})
	return err
}

func (s stored) remove(ctx context.Context, name string) error {
	_, err := s.api.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	return err
}

// benches returns both stores behind a configuration.
func benches(config awssdk.Config) map[string]*bench {
	return map[string]*bench{
		"Manager":   {config, managed{secretsmanager.NewFromConfig(config)}, Manager},
		"Parameter": {config, stored{ssm.NewFromConfig(config)}, Parameter},
	}
}

// fakes returns both stores of one fake.
func fakes(t *testing.T) (*fakeaws.Server, *fakeaws.SecretsManager, *fakeaws.ParameterStore, map[string]*bench) {
	t.Helper()
	manager, parameters := fakeaws.NewSecretsManager(), fakeaws.NewParameterStore()
	server := fakeaws.New(t, manager, parameters)
	return server, manager, parameters, benches(server.Config(t))
}

// contract is what every server of these APIs has to do, ours or another's.
var contract = map[string]func(t *testing.T, b *bench, name string){
	"the value is issued, and its rotation is seen": func(t *testing.T, b *bench, name string) {
		t.Helper()
		p := b.provider(t, name, Accounts(fakeaws.Account))
		first, v1 := issue(t, p)
		must(t, b.admin.rotate(t.Context(), name, canary+" 2"))
		second, v2 := issue(t, p)
		if first != canary+" 1" || second != canary+" 2" || v1 == v2 {
			t.Errorf("%q (%s), then %q (%s)", first, v1, second, v2)
		}
	},
	"case 20: the secret is deleted": func(t *testing.T, b *bench, name string) {
		t.Helper()
		p := b.provider(t, name)
		issue(t, p)
		must(t, b.admin.remove(t.Context(), name))
		if _, ok := b.admin.(managed); ok {
			refused(t, p, "InvalidRequestException", "scheduled for deletion", "RestoreSecret")
			return
		}
		refused(t, p, "ParameterNotFound", "create it")
	},
	"there is no such secret": func(t *testing.T, b *bench, _ string) {
		t.Helper()
		refused(t, b.provider(t, "none-of-this-name"), "NotFound", "create it")
	},
	"a probe reads it and hands nothing out": func(t *testing.T, b *bench, name string) {
		t.Helper()
		access, err := b.provider(t, name).Probe(t.Context(), creds.NewSpec("db", nil))
		must(t, err)
		if !strings.HasPrefix(access.Identity, "arn:aws:") || len(access.Notes) < 2 || access.Lifetime != defaultPoll {
			t.Errorf("%+v", access)
		}
		secretFree(t, strings.Join(access.Notes, " ")+access.Identity)
	},
	"a member of a document": func(t *testing.T, b *bench, name string) {
		t.Helper()
		must(t, b.admin.rotate(t.Context(), name, `{"username":"app","password":"`+canary+` \u00e9","port":5432}`))
		if got, _ := issue(t, b.provider(t, name, Field("password"))); got != canary+" é" {
			t.Errorf("%q", got)
		}
		refused(t, b.provider(t, name, Field("Password")), "no such member")
		refused(t, b.provider(t, name, Field("port")), "no string")
	},
}

func TestContract(t *testing.T) {
	t.Parallel()
	for what, test := range contract {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, _, _, all := fakes(t)
			for store, b := range all {
				must(t, b.admin.create(t.Context(), "prod/db", canary+" 1"))
				t.Run(store, func(t *testing.T) { test(t, b, "prod/db") })
			}
		})
	}
}
