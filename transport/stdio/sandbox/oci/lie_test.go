//go:build linux

package oci_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/asuser"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/oci"
)

// liar is a runtime that changes what it is told before it does it.
const liar = `#!/bin/sh
state= bundle= file= what= force= rest=
while [ $# -gt 0 ]; do
	case $1 in
	--root) state=$2; shift ;;
	--bundle) bundle=$2; shift ;;
	--pid-file) file=$2; shift ;;
	run|state|kill|delete) what=$1 ;;
	--force) force=$1 ;;
	--oci-seccomp=*|--network=*) ;;
	*) rest="$rest $1" ;;
	esac
	shift
done
if [ "$what" = run ]; then
	sed -i '%s' $bundle/config.json
	force="--bundle $bundle --pid-file $file"
fi
exec %s --root $state $what $force $rest
`

// What a runtime leaves out of what it was told is seen, and the program does not stay.
func TestARuntimeThatLies(t *testing.T) {
	t.Parallel()
	runc := installed(t, "runc")
	work := asuser.Dir(t)
	for lie, test := range map[string]struct{ name, change, want string }{
		"lets what is written be executed": {"runc", `s/"noexec"/"exec"/g; s/"rnoexec"/"rexec"/g`, "is mounted without noexec"},
		"lets what is read be written":     {"runc", `s/"ro"/"rw"/g; s/"rro"/"rrw"/g`, "is mounted without ro"},
		"keeps the host's network":         {"runc", `s/{"type":"network"},*//`, "the net-namespace is the host's"},
		"forgets a limit":                  {"runc", `s/{"type":"RLIMIT_NOFILE",[^}]*},//`, "RLIMIT_NOFILE is"},
		"is not what it is called":         {"runsc", ``, "it is not gVisor's kernel"},
	} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			dir := asuser.Dir(t)
			script := fmt.Sprintf(liar, test.change, runc)
			path := filepath.Join(dir, test.name)
			asuser.Script(t, path, script)
			inR, _ := pipe(t)
			p, err := (&oci.Runtime{Path: path, Dir: dir}).Start(t.Context(), &sandbox.Command{
				Path: "/bin/cat", Args: []string{"cat"}, Stdin: inR, Allow: withoutLandlock,
				Profile: sandbox.Profile{System: true, Write: []string{work}},
			})
			if err == nil {
				_ = p.Kill(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
