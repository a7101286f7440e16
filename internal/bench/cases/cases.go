// Package cases are the servers that are measured: the same tools without a guard,
// behind one without controls, behind one with each control alone, and behind one
// with all of them. The benchmarks of mcpsec and the program internal/bench share
// them.
//
// A call is measured at one of three levels, see [Level]. One that is refused or
// raises an alarm ends the measurement with an error: a refusal is quicker than a
// call and would look like a gain.
package cases

import (
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/mcpsec/allowlist"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A Case is one way of serving the tools.
type Case struct {
	Name string

	guarded  bool
	controls []control
	framed   bool // messages arrive through the guard's transport
	key      bool // the tool that is called reads its secret from a file
}

// Cases that others are compared with, or that have a budget.
var (
	Bare  = Case{Name: "bare go-sdk"}
	Guard = Case{Name: "guard, no controls", guarded: true}
	// Chain calls a tool that needs no secret. ChainKey calls the one that does:
	// the credential is issued anew for every call.
	Chain    = Case{Name: "all five", guarded: true, controls: []control{records, rates, allows, pins, credentials}}
	ChainKey = Chain.usingKey()
	// ChainStatic calls a tool whose secret is in memory.
	ChainStatic = Case{Name: "all five, static key", guarded: true, key: true, controls: []control{records, rates, allows, pins, staticCredentials}}
)

// At returns the cases that differ at a level. Bare is the first.
func At(l Level) []Case {
	return slices.DeleteFunc(all(), func(c Case) bool { return c.framed && l == Direct })
}

func all() []Case {
	alone := func(name string, c control) Case { return Case{Name: name, guarded: true, controls: []control{c}} }
	issuing := alone("creds", credentials)
	return []Case{
		Bare,
		Guard, Guard.inFrame(),
		alone("audit", records), alone("ratelimit", rates), alone("allowlist", allows), alone("attest", pins), issuing,
		Chain, Chain.inFrame(),
		ChainStatic,
		Bare.usingKey(), issuing.usingKey(), ChainKey, ChainKey.inFrame(),
	}
}

func (c Case) inFrame() Case {
	c.Name, c.framed = c.Name+", framed", true
	return c
}

func (c Case) usingKey() Case {
	c.Name, c.key = c.Name+", key file read", true
	return c
}

// A control makes one control for a server whose files are in a folder.
type control func(folder) (mcpsec.Control, error)

// Limits that nothing here reaches, however fast the machine.
const (
	manyCalls = 1_000_000_000
	manySlots = 1 << 20
)

func records(f folder) (mcpsec.Control, error) { return audit.New(audit.Dir(f.audit())), nil }

func rates(folder) (mcpsec.Control, error) {
	return ratelimit.New(ratelimit.PerPrincipalAndTool(manyCalls, time.Second), ratelimit.InFlight(manySlots, manySlots)), nil
}

func allows(folder) (mcpsec.Control, error) {
	return allowlist.New(allowlist.Anyone().Tools(toolEcho, toolSeal, rawEcho, rawSeal)), nil
}

// pins attests the server against the manifest that the same server makes.
func pins(f folder) (mcpsec.Control, error) {
	var made *manifest.Manifest
	g, err := mcpsec.New(attest.Capture(func(p *manifest.Manifest) error {
		made = p
		return nil
	}))
	if err != nil {
		return nil, err
	}
	s, err := newServer(g, f)
	if err != nil {
		return nil, err
	}
	if err := g.Install(s); err != nil {
		return nil, err
	}
	return attest.New(attest.Pinned(made)), g.Close()
}

func credentials(f folder) (mcpsec.Control, error) { return bind(creds.File(f.key())) }

func staticCredentials(folder) (mcpsec.Control, error) {
	return bind(creds.Static(make([]byte, keySize)))
}

func bind(p creds.Provider) (mcpsec.Control, error) {
	key := creds.Named(keyName, p)
	return creds.New(creds.ForTool(toolSeal, key), creds.ForTool(rawSeal, key)), nil
}
