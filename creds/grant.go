package creds

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// A Grant is one credential under the name by which a handler asks for it. Make
// one with [Named], or with a function of a provider's package. It prints as its name:
// a provider may hold what must not be printed.
type Grant struct {
	*grant
}

type grant struct {
	spec     Spec
	provider Provider
	fault    error
}

// Named grants what the provider issues for the parameters, under a name of 1 to
// 64 characters of A-Z a-z 0-9 _ - and full stop. The audit record shows the name.
func Named(name string, p Provider, params ...Param) Grant {
	g := &grant{spec: Spec{name, make(map[string]string, len(params))}, provider: p}
	for _, param := range params {
		if _, twice := g.spec.params[param.key]; twice {
			g.fault = fmt.Errorf("parameter %q is given twice", param.key)
		}
		g.spec.params[param.key] = param.value
	}
	return Grant{g}
}

// A Param is a parameter of a [Grant], made by [With].
type Param struct{ key, value string }

// With gives a parameter to the provider of a grant.
func With(key, value string) Param { return Param{key, value} }

// read returns what the grant says; the zero Grant says nothing.
func (g Grant) read() grant {
	if g.grant == nil {
		return grant{}
	}
	return *g.grant
}

func (g Grant) name() string { return g.read().spec.name }

// Format writes the name, for every verb.
func (g Grant) Format(s fmt.State, _ rune) { printName(s, "creds.Grant", g.name()) }

// Format writes the tool's name, for every verb.
func (b Binding) Format(s fmt.State, _ rune) { printName(s, "creds.Binding", b.tool) }

// Format writes "creds.Injector", for every verb.
func (*Injector) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "creds.Injector") }

func printName(s fmt.State, kind, name string) { _, _ = fmt.Fprintf(s, "%s(%q)", kind, name) }

func (g Grant) check() (err error) {
	defer contain(&err, "its provider")
	r := g.read()
	switch {
	case r.fault != nil:
		return r.fault
	case r.spec.name == "" || len(r.spec.name) > 64:
		return fmt.Errorf("a name has 1 to 64 characters, this one %d", len(r.spec.name))
	case strings.Trim(r.spec.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") != "":
		return errors.New("a name has only A-Z a-z 0-9 _ - and full stop")
	case r.provider == nil:
		return errors.New("has no provider")
	}
	if c, ok := r.provider.(Checker); ok {
		return c.Check(r.spec)
	}
	return nil
}

// contain turns a panic into an error without its text, which might hold a secret.
func contain(err *error, who string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s panicked with a %T", who, p)
	}
}

// A source is a provider with one spec: what grants that are alike share.
type source struct {
	spec     Spec
	provider Provider
	planner  Planner // nil: asked for every call
	renewer  Renewer // nil: issued anew
	revoker  Revoker // nil: expires by itself
	fixed    *issued // of Static: never asked at all
	plain    bool    // nobody issued it: the record gets a note only
	note     string  // the key of the note in the record
	service  *service
}

// sources makes one source of all grants that are alike.
type sources struct {
	services map[any]*service // by provider
	all      map[sourceKey]*source
}

type sourceKey struct {
	service *service
	spec    string
}

func (all *sources) of(g Grant) *source {
	r := g.read()
	service := all.service(r.provider)
	key := sourceKey{service, r.spec.Key()}
	if s, ok := all.all[key]; ok {
		return s
	}
	s := &source{spec: r.spec, provider: r.provider, note: "creds." + r.spec.name, service: service}
	s.planner, _ = r.provider.(Planner)
	s.renewer, _ = r.provider.(Renewer)
	s.revoker, _ = r.provider.(Revoker)
	switch p := r.provider.(type) {
	case static:
		m := Material{Secret: p.secret, Version: "static"}
		s.plain, s.fixed = true, &issued{src: s, m: m, note: m.note()}
	case *file:
		s.plain = true
	}
	all.all[key] = s
	return s
}

// service returns what is shared by all uses of a provider. One that cannot be
// compared is its own.
func (all *sources) service(p Provider) *service {
	if p == nil || !reflect.ValueOf(p).Comparable() {
		return newService()
	}
	s, ok := all.services[p]
	if !ok {
		s = newService()
		all.services[p] = s
	}
	return s
}
