//go:build linux

package oci_test

import (
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

// The launcher starts servers by a runtime as well.
func TestLaunchByARuntime(t *testing.T) {
	t.Parallel()
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			launch(t, installed(t, runtime))
		})
	}
}

func launch(t *testing.T, program string) {
	t.Helper()
	l := &stdio.Launch{
		Command: []string{"/usr/bin/tail", "-f", "/dev/null"}, Artifact: stdio.System{}, Allow: []sandbox.Control{sandbox.Artifact, sandbox.LandlockFiles},
		Profile: sandbox.Profile{System: true}, Backend: &oci.Runtime{Path: program, Dir: asuser.Dir(t)}, Grace: 100 * time.Millisecond,
	}
	c, err := l.Connect(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, l.Stderr())
	}
	_ = c.Close() // it is killed
	for _, f := range l.Report().Controls {
		if f.Control == sandbox.Seccomp && !f.InForce {
			t.Errorf("%+v", f)
		}
	}
}
