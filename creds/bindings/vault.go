package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/vault"
)

type vaultServer struct {
	Addresses        []string   `json:"addresses"`
	Namespace        string     `json:"namespace,omitempty"`
	Auth             *vaultAuth `json:"auth"`
	Roots            string     `json:"roots,omitempty"` // path of a PEM file
	InsecureLoopback bool       `json:"insecureLoopback,omitempty"`
}

// A vaultAuth is how the server logs in: exactly one of these.
type vaultAuth struct {
	Token   *vaultToken   `json:"token,omitempty"`
	AppRole *vaultAppRole `json:"appRole,omitempty"`
	JWT     *vaultJWT     `json:"jwt,omitempty"`
}

type login interface {
	auth(d *decoder, at place) vault.Auth
}

func (v *vaultServer) open(d *decoder, at place) any {
	if len(v.Addresses) == 0 {
		d.faultf(at.in("addresses"), "is missing")
	}
	conf := vault.Config{
		Addresses: v.Addresses, Namespace: v.Namespace,
		Roots: d.content(at.in("roots"), v.Roots), InsecureLoopback: v.InsecureLoopback,
	}
	if kind, l := only[login](d, at.in("auth"), v.Auth); l != nil {
		conf.Auth = l.auth(d, at.in("auth").in(kind))
	}
	return vault.New(conf)
}

type vaultToken struct {
	Source *reference `json:"source"`
}

func (t *vaultToken) auth(d *decoder, at place) vault.Auth {
	return vault.Token{Source: d.secret(at.in("source"), t.Source)}
}

type vaultAppRole struct {
	Mount    string     `json:"mount,omitempty"`
	RoleID   string     `json:"roleId"`
	SecretID *reference `json:"secretId"`
}

func (r *vaultAppRole) auth(d *decoder, at place) vault.Auth {
	return vault.AppRole{Mount: r.Mount, RoleID: r.RoleID, SecretID: d.secret(at.in("secretId"), r.SecretID)}
}

type vaultJWT struct {
	Mount string     `json:"mount,omitempty"`
	Role  string     `json:"role"`
	Token *reference `json:"token"`
}

func (j *vaultJWT) auth(d *decoder, at place) vault.Auth {
	return vault.JWT{Mount: j.Mount, Role: j.Role, Token: d.secret(at.in("token"), j.Token)}
}

const aVault = "a vault"

type vaultKV struct {
	Base    string `json:"base"`
	Mount   string `json:"mount"`
	Path    string `json:"path"`
	Field   string `json:"field,omitempty"`
	Version int    `json:"version,omitempty"`
	Keep    string `json:"keep,omitempty"`
}

func (k *vaultKV) grant(d *decoder, at place, name string) creds.Grant {
	kv := vault.KV{Mount: k.Mount, Path: k.Path, Field: k.Field, Version: k.Version, Keep: d.duration(at.in("keep"), k.Keep)}
	s := baseOf[*vault.Server](d, at, k.Base, aVault)
	if s == nil {
		return creds.Grant{}
	}
	return creds.Named(name, s.KV(kv))
}

type vaultLease struct {
	Base         string `json:"base"`
	Path         string `json:"path"`
	Field        string `json:"field,omitempty"`
	PerPrincipal bool   `json:"perPrincipal,omitempty"`
}

func (l *vaultLease) grant(d *decoder, at place, name string) creds.Grant {
	s := baseOf[*vault.Server](d, at, l.Base, aVault)
	if s == nil {
		return creds.Grant{}
	}
	return creds.Named(name, s.Lease(vault.Lease{Path: l.Path, Field: l.Field, PerPrincipal: l.PerPrincipal}))
}
