//go:build linux

package stdio_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A spoken server is a process on whose standard input a test writes lines.
type spoken struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
}

func speak(t *testing.T, as string) *spoken {
	t.Helper()
	s := &spoken{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	s.cmd.Env = append(os.Environ(), mode+"="+as)
	s.cmd.Stderr = &s.stderr
	var err error
	s.in, err = s.cmd.StdinPipe()
	must(t, err)
	out, err := s.cmd.StdoutPipe()
	must(t, err)
	s.out = bufio.NewReader(out)
	must(t, s.cmd.Start())
	return s
}

func (s *spoken) say(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatalf("%v\n%s", err, s.stderr.String())
	}
}

func (s *spoken) hear() string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("%q %v\n%s", line, err, s.stderr.String())
	}
	return strings.TrimSuffix(line, "\n")
}

// end closes the server's input and wants an orderly end.
func (s *spoken) end() {
	s.t.Helper()
	must(s.t, s.in.Close())
	rest, err := io.ReadAll(s.out)
	must(s.t, err)
	if len(rest) > 0 {
		s.t.Errorf("it says more: %q", rest)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("%v\n%s", err, s.stderr.String())
	}
}

const (
	hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	ready = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	ping  = `{"jsonrpc":"2.0","id":"ping","method":"ping"}`
)

func (s *spoken) greet() {
	s.t.Helper()
	s.say(hello)
	if answer := s.hear(); !strings.Contains(answer, `"serverInfo"`) {
		s.t.Fatal(answer)
	}
	s.say(ready)
}

// The SDK's reader would take the last of two members, and members in another case.
func TestLinesThatAreNoMessageAreRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	s := speak(t, "serve")
	s.greet()
	for line, answered := range map[string]bool{
		`{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call","params":{"name":"whoami"}}`: true,
		`{"jsonrpc":"2.0","id":7,"METHOD":"tools/call","params":{"name":"whoami"}}`:                       true,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","name":"whoami"}}`:            true,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami"},"extra":1}`:             true,
		`{"jsonrpc":"1.0","id":7,"method":"ping"}`:                                                        true,
		`[{"jsonrpc":"2.0","id":7,"method":"ping"}]`:                                                      false,
		`{"jsonrpc":"2.0","id":null,"method":"ping"}`:                                                     false,
		`{"jsonrpc":"2.0","id":{"x":1},"method":"ping"}`:                                                  false,
		"no JSON":  false,
		"\xff\xfe": false,
	} {
		s.say(line)
		if answered {
			if answer := s.hear(); !strings.HasPrefix(answer, `{"jsonrpc":"2.0","id":7,"error":`) || strings.Contains(answer, "whoami") {
				t.Errorf("%s: %s", line, answer)
			}
		}
		s.say("")   // blank lines mean nothing
		s.say(ping) // and the session goes on
		if answer := s.hear(); answer != `{"jsonrpc":"2.0","id":"ping","result":{}}` {
			t.Errorf("after %s: %s", line, answer)
		}
	}
	s.end()
	if n := strings.Count(s.stderr.String(), "call malformed"); n != 10 {
		t.Errorf("%d of 10 were recorded\n%s", n, s.stderr.String())
	}
}

func TestALineThatIsTooLongEndsTheSession(t *testing.T) {
	t.Parallel()
	s := speak(t, "printing") // 64 KiB
	s.greet()
	_, _ = io.WriteString(s.in, strings.Repeat("a", 1<<17)) // it may be gone before the end
	if _, err := io.ReadAll(s.out); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err == nil || !strings.Contains(s.stderr.String(), "more than 65536 bytes") {
		t.Errorf("%v %s", err, s.stderr.String())
	}
}

func TestStrayPrintsDoNotReachTheProtocol(t *testing.T) {
	t.Parallel()
	s := speak(t, "serve")
	s.greet()
	s.say(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"print","arguments":{}}}`)
	if answer := s.hear(); !strings.Contains(answer, `"id":2`) || !strings.Contains(answer, "result") {
		t.Errorf("%s", answer)
	}
	s.end()
	for _, want := range []string{`{"jsonrpc":"2.0","method":"notifications/message"`, "raw"} {
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("%q is not on standard error: %s", want, s.stderr.String())
		}
	}
}

// A client that reads neither answers nor standard error must not end the process by a
// signal, in the middle of a call.
func TestAClientThatClosedItsEnds(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), mode+"=quiet")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	must(t, stderr.Close())
	_, err = io.WriteString(in, hello+"\n")
	must(t, err)
	if answer, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(answer, "serverInfo") {
		t.Fatalf("%q %v: standard error is closed, and the server ended", answer, err)
	}
	must(t, out.Close())
	_, _ = io.WriteString(in, ping+"\n"+ping+"\n")
	_ = in.Close()
	_ = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		t.Errorf("ended by %v", status.Signal())
	}
}

// Somebody else holds the other end of standard input, so that it does not end with the
// client.
func TestTheServerEndsWithItsParent(t *testing.T) {
	t.Parallel()
	read, hold, err := os.Pipe()
	must(t, err)
	defer hold.Close() // until the end of the test
	out, theirs, err := os.Pipe()
	must(t, err)
	defer out.Close()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), mode+"=parent")
	parent.Stdin, parent.Stdout = read, theirs
	must(t, parent.Start())
	must(t, theirs.Close())
	must(t, read.Close())
	_, err = hold.WriteString(hello + "\n")
	must(t, err)
	lines := bufio.NewReader(out)
	if answer, err := lines.ReadString('\n'); err != nil || !strings.Contains(answer, "serverInfo") {
		t.Fatal(answer, err)
	}
	must(t, parent.Process.Kill())
	_ = parent.Wait()
	must(t, out.SetReadDeadline(time.Now().Add(patience)))
	if rest, err := io.ReadAll(lines); err != nil {
		t.Errorf("the server lives on: %q %v", rest, err)
	}
}
