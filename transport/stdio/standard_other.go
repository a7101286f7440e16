//go:build !unix

package stdio

import (
	"io"
	"os"
)

// standard are a process's standard input and output while the protocol has them. Only
// the variable os.Stdout is redirected here, and not what other code prints by itself.
type standard struct {
	in  *input
	out *os.File
}

func takeStandard() (*standard, error) {
	s := &standard{newInput(os.Stdin), os.Stdout}
	os.Stdout = os.Stderr //nolint:reassign // the protocol has it for itself
	return s, nil
}

func (s *standard) giveBack() error {
	os.Stdout = s.out //nolint:reassign // see takeStandard
	return nil
}

// An input can be told to end while a Read waits. The goroutine behind it then stays
// until standard input ends: nothing else ends it here.
type input struct{ *io.PipeReader }

func newInput(file *os.File) *input {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, file)
		_ = w.CloseWithError(err) // never fails
	}()
	return &input{r}
}

func (in *input) interrupt() { _ = in.CloseWithError(io.EOF) } // never fails

// watchParent has no means here: the end of standard input says that the client left.
func watchParent(func()) (stop func(), err error) { return func() {}, nil }
