package vault

import (
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// TestFakeSpeaksTheProtocol lets the API client of OpenBao use the fake the way the
// tests above use it, so that they do not merely agree with themselves.
func TestFakeSpeaksTheProtocol(t *testing.T) {
	f := newFake()
	f.namespace = "team"
	conf := api.DefaultConfig()
	conf.Address, conf.MaxRetries = f.serve(t), 0
	c, err := api.NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conf.HttpClient.CloseIdleConnections()
	c.SetNamespace("team")
	ctx := t.Context()

	if health, err := c.Sys().HealthWithContext(ctx); err != nil || health.Sealed || !health.Initialized {
		t.Fatalf("health: %+v, %v", health, err)
	}
	if _, err := c.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": f.roleID, "secret_id": "wrong"}); err == nil {
		t.Error("a wrong secret id logs in")
	}
	login, err := c.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": f.roleID, "secret_id": f.secretID})
	if err != nil || login.Auth == nil || login.Auth.LeaseDuration != 3600 || !login.Auth.Renewable {
		t.Fatalf("login: %+v, %v", login, err)
	}
	c.SetToken(login.Auth.ClientToken)
	self, err := c.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := self.TokenTTL(); err != nil || ttl != f.tokenTTL {
		t.Errorf("lookup: %v, %v", ttl, err)
	}
	if renewed, err := c.Auth().Token().RenewSelfWithContext(ctx, 60); err != nil || renewed.Auth.LeaseDuration != 60 {
		t.Errorf("renew: %+v, %v", renewed, err)
	}

	if put, err := c.KVv2("secret").Put(ctx, "new", map[string]any{"k": "v"}); err != nil || put.VersionMetadata.Version != 1 {
		t.Errorf("put: %+v, %v", put, err)
	}
	if got, err := c.KVv2("secret").Get(ctx, "new"); err != nil || got.Data["k"] != "v" {
		t.Errorf("get: %+v, %v", got, err)
	}
	if got, err := c.KVv2("secret").GetVersion(ctx, "apps/db", 1); err != nil || got.Data["key"] != canary+"-v1" || got.VersionMetadata.Version != 1 {
		t.Errorf("version: %+v, %v", got, err)
	}
	if _, err := c.KVv2("secret").Get(ctx, "none"); err == nil {
		t.Error("a secret that is not there was read")
	}

	lease, err := c.Logical().ReadWithContext(ctx, "database/creds/app")
	if err != nil || lease.LeaseID == "" || lease.LeaseDuration != 600 || lease.Data["password"] == nil {
		t.Fatalf("lease: %+v, %v", lease, err)
	}
	if again, err := c.Sys().RenewWithContext(ctx, lease.LeaseID, 300); err != nil || again.LeaseDuration != 300 || again.LeaseID != lease.LeaseID {
		t.Errorf("renew: %+v, %v", again, err)
	}
	if err := c.Sys().RevokeWithContext(ctx, lease.LeaseID); err != nil {
		t.Error(err)
	}
	if _, err := c.Sys().RenewWithContext(ctx, lease.LeaseID, 300); err == nil {
		t.Error("a revoked lease was renewed")
	}
	if may, err := c.Sys().CapabilitiesSelfWithContext(ctx, "secret/data/apps/db"); err != nil || len(may) != 2 {
		t.Errorf("capabilities: %v, %v", may, err)
	}
	if err := c.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		t.Error(err)
	}
	if _, err := c.Auth().Token().LookupSelfWithContext(ctx); err == nil {
		t.Error("a revoked token is known")
	}
}
