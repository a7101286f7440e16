package cases

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// twoCalls lets two tool calls pass.
func twoCalls(folder) (mcpsec.Control, error) {
	return ratelimit.New(ratelimit.PerPrincipalAndTool(2, time.Hour)), nil
}

func TestRefusedCallEndsTheMeasurement(t *testing.T) {
	for _, l := range Levels() {
		for _, parallel := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, parallel %v", l, parallel), func(t *testing.T) {
				s, err := Case{Name: "two calls", guarded: true, controls: []control{twoCalls}}.Start(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				testing.Benchmark(func(b *testing.B) {
					b.Helper()
					if parallel {
						err = s.Parallel(t.Context(), b, l)
					} else {
						err = s.Sequential(t.Context(), b, l)
					}
					if err != nil {
						b.FailNow()
					}
				})
				if err == nil || !strings.Contains(err.Error(), "too many calls") {
					t.Errorf("got error %v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestToolErrorEndsTheMeasurement(t *testing.T) {
	broken := &mcp.CallToolResult{}
	broken.SetError(context.DeadlineExceeded)
	if err := ran(broken); err == nil {
		t.Error("a result with isError passed")
	}
	if err := ran(&mcp.CallToolResult{}); err == nil {
		t.Error("a result of another tool passed")
	}
}

func TestAlarmIsAFault(t *testing.T) {
	s, err := Guard.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.alarm(mcpsec.Alarm{Code: "guard.outflanked"})
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "guard.outflanked") {
		t.Errorf("got error %v", err)
	}
}

func TestFaultyCaseDoesNotStart(t *testing.T) {
	if s, err := ChainKey.Start(t.TempDir() + "/missing"); err == nil {
		t.Error("started without a folder", s.Close())
	}
	none := Case{Name: "nil", guarded: true, controls: []control{func(folder) (mcpsec.Control, error) { return nil, nil }}}
	if s, err := none.Start(t.TempDir()); err == nil || !strings.Contains(err.Error(), `case "nil"`) {
		t.Error("started with a nil control", s, err)
	}
}
