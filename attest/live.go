package attest

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A sealedTool is one attested definition and what the tool uses.
type sealedTool struct {
	name    string
	live    *mcp.Tool // the SDK's own: what the next list will send
	now     sum       // its frame when it was attested, with what was moved
	whole   sum       // its frame with every byte in it
	digest  string    // tooldef/1, as in the manifest
	memory  arena     // where texts and schemas were moved
	watches []*watch
	files   map[string]*File // by name; nil if there are none
	wire    tripwire
}

// sealTool attests one definition and returns its state.
func sealTool(t *mcp.Tool) (*sealedTool, error) {
	if t == nil {
		return nil, errors.New("it has no definition")
	}
	s := &sealedTool{name: t.Name, live: t}
	var err error
	if s.whole, err = sumTool(t, arena{}, maxFrame); err != nil {
		return nil, err
	}
	if s.digest, err = Digest(t); err != nil {
		return nil, err
	}
	if again, err := sumTool(t, arena{}, maxFrame); err != nil || again != s.whole {
		return nil, errMoved
	}
	s.now = s.whole
	return s, nil
}

var errMoved = errors.New("the definition changed while it was read")

// maxFrame bounds a frame while the server is sealed; afterwards the limit is the
// sealed size. frameSlack is what a length may take more than it needs.
const (
	maxFrame       = 2 * MaxDefinition
	maxServerFrame = 4 << 20
	frameSlack     = 16
)

// check hashes the definition a call is about to run under.
func (s *sealedTool) check(live *mcp.Tool) *finding {
	if live == s.live && s.matches(live, s.memory, &s.now) {
		return s.wire.tripped()
	}
	return s.trip(live)
}

// checkListed hashes a definition that is about to go out in a list. The guard
// sends copies, in which a schema may be encoded otherwise than in the registry:
// what counts then is what arrives at the client.
func (s *sealedTool) checkListed(t *mcp.Tool) *finding {
	if s.matches(t, arena{}, &s.whole) {
		return s.wire.tripped()
	}
	if _, err := sumTool(t, arena{}, maxFrame); err == nil { // which also bounds the work
		if digest, err := Digest(t); err == nil && digest == s.digest {
			return s.wire.tripped()
		}
	}
	return s.trip(t)
}

func (s *sealedTool) matches(t *mcp.Tool, memory arena, want *sum) bool {
	got, err := sumTool(t, memory, want.size+frameSlack)
	return err == nil && equal(&got, want)
}

func equal(a, b *sum) bool {
	return a.size == b.size && subtle.ConstantTimeCompare(a.hash[:], b.hash[:]) == 1
}

// trip takes the tool out of service for good and says what was found first.
func (s *sealedTool) trip(t *mcp.Tool) *finding {
	if f := s.wire.tripped(); f != nil {
		return f
	}
	actual := "what has no digest"
	if _, err := sumTool(t, arena{}, maxFrame); err != nil { // also bounds the work
		actual += ": " + err.Error()
	} else if digest, err := Digest(t); err != nil {
		actual += ": " + err.Error()
	} else {
		actual = digestPrefix + digest
	}
	return s.wire.trip(codeMismatch, "the definition of this tool is not the reviewed one",
		fmt.Sprintf("tool %q: expected %s%s, found %s", s.name, digestPrefix, s.digest, actual))
}

// checkList checks every definition that goes out, and then the live definition
// of every tool, whether or not the caller may see it: a server with one changed
// definition has no list to trust.
func (s *seal) checkList(tools []*mcp.Tool) *finding {
	for _, t := range tools {
		if t == nil || s.tools[t.Name] == nil {
			return &finding{code: codeNotSealed, reason: "the list has a tool that cannot be attested"}
		}
		if f := s.tools[t.Name].checkListed(t); f != nil {
			return listFinding(f)
		}
	}
	for _, t := range s.tools {
		if f := t.check(t.live); f != nil {
			return listFinding(f)
		}
	}
	return s.server.check(s.server.live, s.server.instructions)
}

// listFinding names no tool to the caller, who may not be allowed to know of it. The
// alarm is the tool's own, and rings once for both.
func listFinding(f *finding) *finding {
	l := &finding{code: f.code, reason: "the definitions are not the reviewed ones", detail: f.detail}
	l.alarming = f.alarming && !f.rung.Swap(true)
	return l
}

// A sealedServer is what an attested server says of itself.
type sealedServer struct {
	live         *mcp.Implementation // the SDK's own
	instructions string
	now          sum
	wire         tripwire
}

func (s *sealedServer) check(impl *mcp.Implementation, instructions string) *finding {
	if f := s.wire.tripped(); f != nil {
		return f
	}
	got, err := sumServer(impl, instructions, s.now.size+frameSlack)
	if err == nil && equal(&got, &s.now) {
		return s.wire.tripped()
	}
	what := "the name, version, title, description, site or icons of the server"
	if instructions != s.instructions {
		what = "the instructions: expected " + digestPrefix + hexSum(s.instructions) + ", found " + digestPrefix + hexSum(instructions)
	}
	return s.wire.trip(codeServerMismatch, "this server does not describe itself as it was reviewed", "changed: "+what)
}
