//go:build linux

package oci_test

import (
	"context"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

// Many at once, killed, and some that were not done in time: no folder stays, nor does one
// come back when a runtime is asked about what is over.
func TestNoFolderStays(t *testing.T) {
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			program, dir := installed(t, runtime), asuser.Dir(t)
			one := func(ctx context.Context) error {
				inR, _ := pipe(t)
				p, err := (&oci.Runtime{Path: program, Dir: dir}).Start(ctx, &sandbox.Command{
					Path: "/bin/cat", Args: []string{"cat"}, Stdin: inR, Allow: withoutLandlock, Profile: sandbox.Profile{System: true},
				})
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
				defer cancel()
				if err := p.Kill(ctx); err != nil {
					return err
				}
				_ = p.Signal(syscall.SIGKILL) // it is over
				return nil
			}
			var group sync.WaitGroup
			for i := range 12 {
				group.Go(func() {
					ctx, late := t.Context(), i%3 == 0
					if late {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*25*time.Millisecond)
						defer cancel()
					}
					if err := one(ctx); err != nil && !late {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
