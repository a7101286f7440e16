//go:build linux

package stdio_test

import (
	"os/exec"
	"sync"
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

// A child that the host clones while a private copy is written must not have the copy open
// when it is executed: the kernel would refuse that.
func TestAPrivateCopyRunsWhateverTheHostStartsMeanwhile(t *testing.T) { //nolint:paralleltest // clones as fast as it can
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	defer others.Wait()
	defer close(stop)
	for range 20 {
		l, _, _ := launch(t, "serve")
		l.Artifact = stdio.Program{SHA256: self(), PrivateCopy: true}
		s, err := connect(t, l)
		must(t, err)
		must(t, s.Close())
	}
}
