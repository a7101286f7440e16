package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A program that may use the system's libraries and nothing else.
func ExampleStart() {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := sandbox.Start(context.Background(), &sandbox.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo process $$; cat /root/.ssh/id_ed25519 || echo no key"},
		Env:     []string{"PATH=/usr/bin"},
		Stdout:  w,
		Profile: sandbox.Profile{System: true},
	})
	_ = w.Close()
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := io.ReadAll(r)
	state, err := p.Wait()
	fmt.Print(string(text))
	fmt.Println(state, err)
	// Output:
	// process 1
	// no key
	// exit status 0 <nil>
}

// What would be done, without doing it.
func ExampleExplain() {
	text, err := sandbox.Explain(&sandbox.Command{Path: "/bin/sh", Args: []string{"sh"}, Profile: sandbox.Profile{System: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "PR_SET_NO_NEW_PRIVS") || strings.Contains(line, "pivot_root") {
			fmt.Print(line)
		}
	}
	// Output:
	//   pivot: pivot_root(".", ".")
}
