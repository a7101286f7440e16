package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/oauth"
)

// An oauthServer is an authorization server, and the client that asks it.
type oauthServer struct {
	TokenURL         string     `json:"tokenUrl"`
	Issuer           string     `json:"issuer,omitempty"`
	ClientID         string     `json:"clientId"`
	Auth             *oauthAuth `json:"auth"`
	Roots            string     `json:"roots,omitempty"` // path of a PEM file
	InsecureLoopback bool       `json:"insecureLoopback,omitempty"`
}

// An oauthAuth is how the client proves who it is: exactly one of these.
type oauthAuth struct {
	PrivateKey   *oauthKey         `json:"privateKey,omitempty"`
	Certificate  *pair             `json:"certificate,omitempty"`
	ClientSecret *oauthSharedValue `json:"clientSecret,omitempty"`
}

type proof interface {
	prove(d *decoder, at place) oauth.Auth
}

func (o *oauthServer) open(d *decoder, at place) any {
	conf := &oauth.Config{
		TokenURL: o.TokenURL, Issuer: o.Issuer, ClientID: o.ClientID,
		Roots: d.content(at.in("roots"), o.Roots), InsecureLoopback: o.InsecureLoopback,
	}
	kind, p := only[proof](d, at.in("auth"), o.Auth)
	if p == nil {
		return nil
	}
	conf.Auth = p.prove(d, at.in("auth").in(kind))
	return conf
}

type oauthKey struct {
	Key   string `json:"key"` // path of a PEM file
	KeyID string `json:"keyId,omitempty"`
}

func (k *oauthKey) prove(d *decoder, at place) oauth.Auth {
	return oauth.PrivateKey(d.privateKey(at.in("key"), k.Key), k.KeyID)
}

// prove reads the files again for each handshake, so that a renewed certificate counts.
func (p *pair) prove(d *decoder, at place) oauth.Auth {
	if p.load(d, at) == nil {
		return oauth.Auth{}
	}
	again := *p
	return oauth.Certificate(again.read)
}

type oauthSharedValue struct {
	Source *reference `json:"source"`
}

func (s *oauthSharedValue) prove(d *decoder, at place) oauth.Auth {
	return oauth.ClientSecret(d.secret(at.in("source"), s.Source))
}

// An oauthClient is a token for the server itself.
type oauthClient struct {
	Base     string   `json:"base"`
	Audience []string `json:"audience,omitempty"`
	Resource []string `json:"resource,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	MaxLife  string   `json:"maxLife,omitempty"`
}

const anOAuthServer = "an oauth server"

// config returns a copy of the base's, or nil.
func (o *oauthClient) config(d *decoder, at place) *oauth.Config {
	life := d.duration(at.in("maxLife"), o.MaxLife)
	base := baseOf[*oauth.Config](d, at, o.Base, anOAuthServer)
	if base == nil {
		return nil
	}
	conf := *base
	conf.Audience, conf.Resource, conf.Scopes, conf.MaxLife = o.Audience, o.Resource, o.Scopes, life
	return &conf
}

func (o *oauthClient) grant(d *decoder, at place, name string) creds.Grant {
	conf := o.config(d, at)
	if conf == nil {
		return creds.Grant{}
	}
	return creds.Named(name, oauth.ClientCredentials(*conf))
}

// An oauthExchange is a token on behalf of the caller.
type oauthExchange struct {
	oauthClient
	SubjectType string     `json:"subjectType,omitempty"`
	Actor       *reference `json:"actor,omitempty"`
	ActorType   string     `json:"actorType,omitempty"`
}

func (o *oauthExchange) grant(d *decoder, at place, name string) creds.Grant {
	var actor creds.Provider
	switch {
	case o.Actor != nil:
		actor = d.secret(at.in("actor"), o.Actor)
	case o.ActorType != "": // without one the token would not say that the server acts
		d.faultf(at.in("actorType"), "goes with an actor: say where its token is")
	}
	conf := o.config(d, at)
	if conf == nil {
		return creds.Grant{}
	}
	conf.SubjectType, conf.Actor, conf.ActorType = o.SubjectType, actor, o.ActorType
	return creds.Named(name, oauth.Exchange(*conf))
}
