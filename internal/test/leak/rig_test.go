package leak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/age"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"

	ageid "filippo.io/age"
)

// program builds the server, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "leak")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, "./server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

const roleARN = "arn:aws:iam::" + fakeaws.Account + ":role/notes"

// A rig is a server under test, the services it uses, and all that came out of it.
type rig struct {
	dir     string
	scanner Scanner
	sts     string // where it is
	fake    *fakeaws.Server
	cloud   *cloud
	cmd     *exec.Cmd
	client  *mcp.ClientSession

	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	grown  chan struct{}   // one is there after something was written to stderr
	issued map[string]bool // ids of the keys of roles, which are no secret
}

// newRig starts a server. A hostile service refuses everything and repeats every secret.
func newRig(t *testing.T, hostile bool) *rig {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{dir: t.TempDir(), grown: make(chan struct{}, 1), issued: make(map[string]bool)}
	canaries := newCanaries(t)
	for name, secret := range canaries {
		r.add(t, name, secret)
	}
	file := r.configure(t, canaries, hostile)
	r.cmd = exec.CommandContext(t.Context(), path, "-creds", file, "-audit", filepath.Join(r.dir, "audit"),
		"-subject", r.secret(t, canaries["subject"]), "-keyring", r.secret(t, canaries["keyring"]))
	r.cmd.Env = []string{"GOTRACEBACK=system", "HOME=" + r.dir}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = (*errs)(r)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	tee := struct {
		io.Reader
		io.Closer
	}{io.TeeReader(out, (*outs)(r)), out}
	if r.client, err = client.Connect(t.Context(), &mcp.IOTransport{Reader: tee, Writer: in}, nil); err != nil {
		t.Fatalf("%v\n%s", err, r.said())
	}
	return r
}

type (
	outs rig
	errs rig
)

func (o *outs) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.Write(p)
}

func (e *errs) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case e.grown <- struct{}{}:
	default:
	}
	return e.stderr.Write(p)
}

func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// until waits for a text on the server's standard error.
func (r *rig) until(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(r.said(), text) {
		select {
		case <-r.grown:
		case <-t.Context().Done():
			t.Fatalf("%q never came", text)
		}
	}
}

func (r *rig) add(t *testing.T, name, secret string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.scanner.Add(name, secret); err != nil {
		t.Fatal(err)
	}
}

// secret writes a file that only its owner may read.
func (r *rig) secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configure starts the services and writes the bindings of all providers.
func (r *rig) configure(t *testing.T, canaries map[string]string, hostile bool) string {
	t.Helper()
	r.sts = r.aws(t, canaries, hostile)
	c := newCloud(t, canaries, hostile)
	r.cloud = c
	id, err := ageid.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r.add(t, "age identity", id.String())
	store := filepath.Join(t.TempDir(), "secrets.age")
	if err := age.Write(store, map[string]creds.Value{"notes": creds.NewValue([]byte(canaries["age"]))}, age.PublicKey(id.Recipient().String())); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{
	"bases": {
		"user": {"awsKeys": {"id": "AKIAQ3EGFAKEFAKEFAKE", "secret": {"file": {"path": "<aws user>"}}}},
		"vault": {"vault": {"addresses": [%[1]q], "insecureLoopback": true, "auth": {"appRole": {"roleId": "notes", "secretId": {"file": {"path": "<vault secret id>"}}}}}},
		"gcp": {"gcp": {"serviceAccount": %[2]q, "token": {"file": {"path": "<gcp platform token>"}}, "insecureLoopback": true,
			"audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/cluster",
			"endpoints": {"sts": "%[3]s/sts", "iam": "%[3]s/iam", "secrets": "%[3]s/sm"}}},
		"azure": {"azure": {"tenant": %[4]q, "clientId": %[4]q, "token": {"file": {"path": "<azure platform token>"}}, "authority": %[1]q, "insecureLoopback": true}},
		"login": {"oauth": {"tokenUrl": "%[3]s/token", "clientId": "notes", "insecureLoopback": true, "auth": {"clientSecret": {"source": {"file": {"path": "<oauth client secret>"}}}}}},
		"store": {"age": {"path": %[5]q, "identity": {"file": {"path": %[6]q}}}}
	},
	"tools": {"use": {
		"file": {"file": {"path": "<file>"}},
		"keyring": {"keyring": {"service": "notes", "user": "notes"}},
		"age": {"age": {"base": "store", "name": "notes"}},
		"aws": {"awsRole": {"base": "user", "role": %[7]q, "region": %[8]q, "endpoint": %[9]q, "unrestricted": true}},
		"manager": {"awsSecret": {"base": "user", "id": "notes", "region": %[8]q, "endpoint": %[9]q}},
		"parameter": {"awsParameter": {"base": "user", "name": "/notes", "region": %[8]q, "endpoint": %[9]q}},
		"vault-kv": {"vaultKV": {"base": "vault", "mount": "secret", "path": "apps/notes", "field": "key"}},
		"vault-lease": {"vaultLease": {"base": "vault", "path": "database/creds/app"}},
		"gcp-token": {"gcpToken": {"base": "gcp", "scopes": ["https://www.googleapis.com/auth/devstorage.read_only"]}},
		"gcp-secret": {"gcpSecret": {"base": "gcp", "name": "projects/my-project/secrets/notes/versions/7"}},
		"azure-token": {"azureToken": {"base": "azure", "scope": "https://storage.azure.com/.default"}},
		"oauth-client": {"oauthClient": {"base": "login", "scopes": ["read"]}},
		"oauth-exchange": {"oauthExchange": {"base": "login", "audience": ["https://calendar.example"], "scopes": ["read"]}}
	}}}`, c.url, account, c.url, tenant, store, r.secret(t, id.String()), roleARN, fakeaws.Region, r.sts)
	for name, canary := range canaries {
		text = strings.ReplaceAll(text, "<"+name+">", r.secret(t, canary))
	}
	return r.secret(t, text)
}

// credentials are the names of what the tool has.
var credentials = []string{
	"file", "keyring", "age", "aws", "manager", "parameter", "vault-kv", "vault-lease",
	"gcp-token", "gcp-secret", "azure-token", "oauth-client", "oauth-exchange",
}

// aws starts the fake and returns its address. The keys that it issues are secrets of
// this run too.
func (r *rig) aws(t *testing.T, canaries map[string]string, hostile bool) string {
	t.Helper()
	sts, manager, parameters := fakeaws.NewSTS(), fakeaws.NewSecretsManager(), fakeaws.NewParameterStore()
	sts.Roles[roleARN] = &fakeaws.Role{
		Trust:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`,
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`,
	}
	sts.Change = func(i *fakeaws.Issued) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.issued[i.AccessKeyID] {
			r.issued[i.AccessKeyID] = true
			_ = r.scanner.Add("issued secret key", i.SecretAccessKey) // both are long enough
			_ = r.scanner.Add("issued session token", i.SessionToken)
		}
	}
	s := fakeaws.New(t, sts, manager, parameters)
	r.fake = s
	s.Trust(fakeaws.UserKeys)
	config := s.Config(t)
	name, path := "notes", "/notes"
	value, other := canaries["manager"], canaries["parameter"]
	if _, err := secretsmanager.NewFromConfig(config).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
		t.Fatal(err)
	}
	if _, err := ssm.NewFromConfig(config).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &path, Value: &other, Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	if hostile {
		for range 200 {
			s.Inject("", fakeaws.Refuse(403, "AccessDenied", fmt.Sprint("you sent ", canaries)))
		}
	}
	return s.URL
}

// call calls the tool.
func (r *rig) call(ctx context.Context, how, credential string) (*mcp.CallToolResult, error) {
	return r.client.CallTool(ctx, &mcp.CallToolParams{Name: "use", Arguments: map[string]string{"how": how, "credential": credential, "endpoint": r.sts}})
}

// clean fails the test for every secret in what came out of the server. The server has ended.
// Gitleaks looks too, if it is built.
func (r *rig) clean(t *testing.T) (looked int) {
	t.Helper()
	dir := filepath.Join(r.dir, "looked at")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	texts := map[string][]byte{"stdout": r.stdout.Bytes(), "stderr": r.stderr.Bytes()}
	records, err := filepath.Glob(filepath.Join(r.dir, "audit", "*"))
	if err != nil || len(records) == 0 {
		t.Fatalf("no record: %v", err)
	}
	for _, path := range records {
		if filepath.Base(path) == "ledger.key" {
			continue // signs the record and is no part of it
		}
		if texts["record "+filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for place, text := range texts {
		looked += len(text)
		for _, f := range r.scanner.Scan(place, text) {
			t.Error(f)
		}
		if err := os.WriteFile(filepath.Join(dir, place+".txt"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(texts) < 3 || len(texts["stdout"]) == 0 || len(texts["stderr"]) == 0 || looked == len(texts["stdout"])+len(texts["stderr"]) {
		t.Errorf("%d bytes in %d texts: something was not looked at", looked, len(texts))
	}
	t.Run("gitleaks", func(t *testing.T) {
		found, err := Gitleaks(t.Context(), oracle.Path(t, "gitleaks"), dir, func(text string) bool {
			return r.issued[text] || text == fakeaws.UserKeys.AccessKeyID
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			t.Error(f)
		}
	})
	return looked
}
