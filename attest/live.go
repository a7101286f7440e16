package attest

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A seal is what the server was when it was attested.
type seal struct {
	tools  map[string]*sealedTool
	server sealedServer
}

// A sealedTool is one attested definition. Once tripped it stays so.
type sealedTool struct {
	name    string
	live    *mcp.Tool // the SDK's own: what the next list will send
	now     sum       // its frame when it was attested
	wire    string    // its tooldef/1 digest, as in the manifest
	tripped atomic.Bool
	once    sync.Once
	found   string // when it tripped, for the operator
}

// sealTool attests one definition and returns its state.
func sealTool(t *mcp.Tool) (*sealedTool, error) {
	if t == nil {
		return nil, errors.New("it has no definition")
	}
	s := &sealedTool{name: t.Name, live: t}
	var err error
	if s.now, err = sumTool(t, maxFrame); err != nil {
		return nil, err
	}
	if s.wire, err = Digest(t); err != nil {
		return nil, err
	}
	if again, err := sumTool(t, maxFrame); err != nil || again != s.now {
		return nil, errors.New("the definition changed while it was read")
	}
	return s, nil
}

// maxFrame bounds a frame while the server is sealed; afterwards the limit is the
// sealed size. frameSlack is what a length may take more than it needs.
const (
	maxFrame       = 2 * MaxDefinition
	maxServerFrame = 4 << 20
	frameSlack     = 16
)

// check hashes the definition a call is about to run under.
func (s *sealedTool) check(live *mcp.Tool) *mcpsec.Denial {
	if live == s.live && s.matches(live) {
		return nil
	}
	return s.trip(live)
}

// checkListed hashes a definition that is about to go out in a list. The guard
// sends copies, in which a schema may be encoded otherwise than in the registry:
// what counts then is what arrives at the client.
func (s *sealedTool) checkListed(t *mcp.Tool) *mcpsec.Denial {
	if s.matches(t) {
		return nil
	}
	if _, err := sumTool(t, maxFrame); err != nil {
		return s.trip(t)
	}
	if wire, err := Digest(t); err == nil && wire == s.wire && !s.tripped.Load() {
		return nil
	}
	return s.trip(t)
}

// matches looks at tripped last, so that no call passes that was still hashing
// when another one found a change.
func (s *sealedTool) matches(t *mcp.Tool) bool {
	if s.tripped.Load() {
		return false
	}
	got, err := sumTool(t, s.now.size+frameSlack)
	return err == nil && equal(&got, &s.now) && !s.tripped.Load()
}

func equal(a, b *sum) bool {
	return a.size == b.size && subtle.ConstantTimeCompare(a.hash[:], b.hash[:]) == 1
}

// trip takes the tool out of service for good and says what was found first.
func (s *sealedTool) trip(found *mcp.Tool) *mcpsec.Denial {
	s.tripped.Store(true)
	s.once.Do(func() {
		actual := "what has no digest"
		if _, err := sumTool(found, maxFrame); err != nil { // also bounds the work
			actual += ": " + err.Error()
		} else if wire, err := Digest(found); err != nil {
			actual += ": " + err.Error()
		} else {
			actual = digestPrefix + wire
		}
		s.found = fmt.Sprintf("tool %q: expected %s%s, found %s", s.name, digestPrefix, s.wire, actual)
	})
	d := codeMismatch.Deny("the definition of this tool is not the reviewed one")
	d.Detail = s.found
	return d
}

// checkList checks every definition that goes out, and then the live definition
// of every tool, whether or not the caller may see it: a server with one changed
// definition has no list to trust.
func (s *seal) checkList(tools []*mcp.Tool) *mcpsec.Denial {
	for _, t := range tools {
		if t == nil || s.tools[t.Name] == nil {
			return codeNotSealed.Deny("the list has a tool that cannot be attested")
		}
		if d := s.tools[t.Name].checkListed(t); d != nil {
			return listDenial(d)
		}
	}
	for _, t := range s.tools {
		if d := t.check(t.live); d != nil {
			return listDenial(d)
		}
	}
	return s.server.check(s.server.live, s.server.instructions)
}

// listDenial names no tool to the caller, who may not be allowed to know of it.
func listDenial(d *mcpsec.Denial) *mcpsec.Denial {
	d.Reason = "the tool definitions are not the reviewed ones"
	return d
}

// A sealedServer is what an attested server says of itself.
type sealedServer struct {
	live         *mcp.Implementation // the SDK's own
	instructions string
	now          sum
	tripped      atomic.Pointer[string] // what was found first
}

func (s *sealedServer) check(impl *mcp.Implementation, instructions string) *mcpsec.Denial {
	got, err := sumServer(impl, instructions, s.now.size+frameSlack)
	if (err != nil || !equal(&got, &s.now)) && s.tripped.Load() == nil {
		what := "the name, version, title, description, site or icons of the server"
		if instructions != s.instructions {
			what = "the instructions: expected " + digestPrefix + hexSum(s.instructions) + ", found " + digestPrefix + hexSum(instructions)
		}
		s.tripped.CompareAndSwap(nil, &what)
	}
	what := s.tripped.Load()
	if what == nil {
		return nil
	}
	d := codeServerMismatch.Deny("this server does not describe itself as it was reviewed")
	d.Detail = "changed: " + *what
	return d
}
