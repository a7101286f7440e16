package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/age"
	"github.com/mcpsec/mcpsec-go/creds/keyring"
)

// A reference says where a secret is: exactly one of these.
type reference struct {
	File    *fileSecret    `json:"file,omitempty"`
	Keyring *keyringSecret `json:"keyring,omitempty"`
	Age     *ageSecret     `json:"age,omitempty"`
}

// A source is where a secret can be.
type source interface {
	provider(d *decoder, at place) creds.Provider
}

// secret returns the provider of what is referred to, or nil.
func (d *decoder) secret(at place, r *reference) creds.Provider {
	if r == nil {
		d.faultf(at, `is missing: say where the secret is, such as {"file": {"path": "/run/secrets/NAME"}}`)
		return nil
	}
	kind, s := only[source](d, at, r)
	if s == nil {
		return nil
	}
	return s.provider(d, at.in(kind))
}

type fileSecret struct {
	Path                string `json:"path"`
	InsecurePermissions bool   `json:"insecurePermissions,omitempty"`
}

func (f *fileSecret) provider(d *decoder, at place) creds.Provider {
	path := d.path(at.in("path"), f.Path)
	if f.InsecurePermissions {
		return creds.File(path, creds.InsecurePermissions())
	}
	return creds.File(path)
}

func (f *fileSecret) grant(d *decoder, at place, name string) creds.Grant {
	return creds.Named(name, f.provider(d, at))
}

type keyringSecret struct {
	Service string `json:"service"`
	User    string `json:"user"`
}

func (k *keyringSecret) provider(d *decoder, at place) creds.Provider {
	d.required(at, "service", k.Service, "user", k.User)
	return keyring.Secret(k.Service, k.User)
}

func (k *keyringSecret) grant(d *decoder, at place, name string) creds.Grant {
	return creds.Named(name, k.provider(d, at))
}

// An ageFile is a base: a file encrypted with age.
type ageFile struct {
	Path       string     `json:"path"`
	Identity   *reference `json:"identity,omitempty"`
	Passphrase *reference `json:"passphrase,omitempty"`
}

func (a *ageFile) open(d *decoder, at place) any {
	conf := age.Config{Path: d.path(at.in("path"), a.Path)}
	if (a.Identity == nil) == (a.Passphrase == nil) {
		d.faultf(at, "is opened by one of identity and passphrase")
		return nil
	}
	if a.Identity != nil {
		conf.Identity = d.key(at.in("identity"), a.Identity)
	} else {
		conf.Passphrase = d.key(at.in("passphrase"), a.Passphrase)
	}
	return age.Open(conf)
}

// key returns what opens an age file, which is not in another one.
func (d *decoder) key(at place, r *reference) creds.Provider {
	if r.Age != nil {
		d.faultf(at.in("age"), "what opens an age file is not in an age file: give a file or a keyring")
		return nil
	}
	return d.secret(at, r)
}

type ageSecret struct {
	Base  string `json:"base"`
	Name  string `json:"name,omitempty"`
	Whole bool   `json:"whole,omitempty"` // all of the file is the secret
}

func (a *ageSecret) provider(d *decoder, at place) creds.Provider {
	store := baseOf[*age.Store](d, at, a.Base, "an age file")
	switch {
	case (a.Name != "") == a.Whole:
		d.faultf(at, `needs one of "name" and "whole": true`)
	case store == nil:
	case a.Whole:
		return store.Whole()
	default:
		return store.Secret(a.Name)
	}
	return nil
}

func (a *ageSecret) grant(d *decoder, at place, name string) creds.Grant {
	return creds.Named(name, a.provider(d, at))
}
