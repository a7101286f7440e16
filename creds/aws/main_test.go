package aws

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		outgoing().GetTransport().CloseIdleConnections()
		os.Exit(code)
	}))
}

const (
	readerARN = "arn:aws:iam::" + fakeaws.Account + ":role/mcp/reader"
	trustAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*","Federated":"*"},
		"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:AssumeRoleWithWebIdentity"]}]}`
	allowS3  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	readLogs = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/logs/*"}]}`
)

// A cloud is a fake AWS with one role.
type cloud struct {
	*fakeaws.Server
	sts *fakeaws.STS
	s3  *fakeaws.S3
}

func newCloud(tb testing.TB) *cloud {
	tb.Helper()
	c := &cloud{sts: fakeaws.NewSTS()}
	c.s3 = fakeaws.NewS3(c.sts)
	c.Server = fakeaws.New(tb, c.sts, c.s3)
	c.sts.Roles[readerARN] = &fakeaws.Role{Trust: trustAll, Policy: allowS3}
	return c
}

// chained is a base that is itself a role's session, and user one that is not.
func chained() *Base {
	return SessionKeys(fakeaws.Keys.AccessKeyID, secretOf(fakeaws.Keys.SecretAccessKey), secretOf(fakeaws.Keys.SessionToken), time.Now().Add(time.Hour))
}

func user() *Base {
	return Keys(fakeaws.UserKeys.AccessKeyID, secretOf(fakeaws.UserKeys.SecretAccessKey))
}

func secretOf(s string) creds.Value { return creds.NewValue([]byte(s)) }

// role returns a provider for the cloud's role, without fault.
func (c *cloud) role(tb testing.TB, opts ...Option) *role {
	tb.Helper()
	r := newRole(readerARN, nil, append([]Option{Using(chained()), Region(fakeaws.Region), Endpoint(c.URL)}, opts...))
	if err := r.Check(creds.Spec{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.Close() })
	return r
}

func alice() mcpsec.Principal {
	return mcpsec.Principal{Rung: mcpsec.Token, Issuer: "https://idp.example", Subject: "alice", Tenant: "acme", Client: "app"}
}

func request(args string) creds.Request {
	return creds.Request{Tool: "list", CallID: "1", Principal: alice(), Arguments: []byte(args)}
}

// run calls a handler with the grants, as a guard would.
func run(ctx context.Context, in *creds.Injector, p mcpsec.Principal, args string, body func(ctx context.Context) error) error {
	return runTool(ctx, in, "list", p, args, body)
}

func runTool(ctx context.Context, in *creds.Injector, tool string, p mcpsec.Principal, args string, body func(ctx context.Context) error) error {
	h := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return &mcp.CallToolResult{}, body(ctx) })
	_, err := h(ctx, &mcpsec.Call{ID: "1", Method: "tools/call", Name: tool, Tool: &mcpsec.Tool{Name: tool}, Principal: p, Arguments: []byte(args)})
	return err
}

// A ticker is a clock that is set by hand.
type ticker struct {
	mu sync.Mutex
	t  time.Time
}

func newTicker() *ticker { return &ticker{t: time.Now().Round(0)} }

func (c *ticker) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *ticker) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func withToken(token string) awssdk.Credentials {
	k := fakeaws.Keys
	k.SessionToken = token
	return k
}

func withSecret(secret string) awssdk.Credentials {
	k := fakeaws.Keys
	k.SecretAccessKey = secret
	return k
}
