//go:build linux && (amd64 || arm64)

package program

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	fork := flag.Bool("fork", false, "copy the memory instead of sharing it, for emulators")
	flag.Parse()
	if *fork {
		memory = 0
	}
	goleak.VerifyTestMain(m)
}
