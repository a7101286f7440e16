package fakeaws

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

func refusedWith(t *testing.T, what string, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != code {
		t.Errorf("%s: %v, not %s", what, err, code)
	}
}

func TestSecretsManagerHoldsToItsLimits(t *testing.T) {
	t.Parallel()
	service := NewSecretsManager()
	c := secretsmanager.NewFromConfig(New(t, service).Config(t))
	create := func(name, value string) error {
		_, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
		return err
	}
	get := func(stage string) (string, error) {
		in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}
		if stage != "" {
			in.VersionStage = &stage
		}
		out, err := c.GetSecretValue(t.Context(), in)
		if err != nil {
			return "", err
		}
		return *out.SecretString, nil
	}
	refusedWith(t, "a name", create("a b", "x"), "InvalidParameterException")
	refusedWith(t, "a size", create("db", strings.Repeat("x", 65537)), "ValidationException")
	if err := create("db", strings.Repeat("x", 65536)); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "twice", create("db", "x"), "ResourceExistsException")
	_, err := get(stagePrevious)
	refusedWith(t, "no version before", err, "ResourceNotFoundException")
	for _, value := range []string{"two", "three"} {
		if _, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("db"), SecretString: &value}); err != nil {
			t.Fatal(err)
		}
	}
	for stage, want := range map[string]string{"": "three", stageCurrent: "three", stagePrevious: "two"} {
		if got, err := get(stage); got != want || err != nil {
			t.Errorf("%q: %q, %v", stage, got, err)
		}
	}
	service.DisableKey(true)
	_, err = get("")
	refusedWith(t, "a disabled key", err, "DecryptionFailure")
	service.DisableKey(false)
	if _, err := c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("db")}); err != nil {
		t.Fatal(err)
	}
	_, err = get("")
	refusedWith(t, "deleted", err, "InvalidRequestException")
	if _, err := c.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("db")}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(""); got != "three" || err != nil {
		t.Errorf("restored: %q, %v", got, err)
	}
}

func TestParameterStoreDecryptsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	c := ssm.NewFromConfig(New(t, NewParameterStore()).Config(t))
	put := func(value string, overwrite bool) error {
		_, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/db"), Value: &value, Type: types.ParameterTypeSecureString, Overwrite: &overwrite})
		return err
	}
	get := func(name string, decrypt bool) (string, error) {
		out, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name, WithDecryption: &decrypt})
		if err != nil {
			return "", err
		}
		return *out.Parameter.Value, nil
	}
	refusedWith(t, "a size", put(strings.Repeat("x", 4097), false), "ValidationException")
	if err := errors.Join(put("one", false), put("two", true)); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "twice", put("three", false), "ParameterAlreadyExists")
	for name, want := range map[string]string{"/db": "two", "/db:1": "one", "/db:2": "two"} {
		if got, err := get(name, true); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := get("/db", false); err != nil || strings.Contains(got, "two") {
		t.Errorf("not decrypted: %q, %v", got, err)
	}
	_, err := get("/db:3", true)
	refusedWith(t, "no such version", err, "ParameterVersionNotFound")
	_, err = get("/none", true)
	refusedWith(t, "no such name", err, "ParameterNotFound")
}
