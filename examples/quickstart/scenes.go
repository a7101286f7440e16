package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A stage is where the scenes are played: a client connected to the server.
type stage struct {
	ctx    context.Context //nolint:containedctx // lives as long as one demonstration
	client *mcp.ClientSession
	dir    layout
	out    *printer
}

// demonstrate prepares a folder, pins and starts the server, and plays the scenes.
func demonstrate(ctx context.Context, out *printer) (err error) {
	tmp, err := os.MkdirTemp("", "mcpsec-quickstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	s := &stage{ctx: ctx, dir: layout(tmp), out: out}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	for _, play := range []func() error{s.ordinary, s.unknownTool, s.withoutRights, s.flood, s.foreignCredential, s.rugPull} {
		if err := play(); err != nil {
			return errors.Join(err, s.client.Close())
		}
	}
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("the server did not end well: %w", err)
	}
	return s.records()
}

// prepare writes two notes and a key, has the server write its manifest, and signs that,
// which in real life somebody does who has reviewed it.
func (s *stage) prepare() error {
	if err := os.Mkdir(s.dir.notes(), 0o700); err != nil {
		return err
	}
	for path, text := range map[string]string{
		filepath.Join(s.dir.notes(), "welcome.txt"):  "Hello from a real file.\n",
		filepath.Join(s.dir.notes(), "shopping.txt"): "Bread, apples.\n",
		s.dir.key(): "a key that no model ever sees\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	cmd, err := s.self("-pin", string(s.dir))
	if err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pinning the server: %w", err)
	}
	if err := approve(s.ctx, s.dir); err != nil {
		return fmt.Errorf("signing the manifest: %w", err)
	}
	s.out.title("A server for notes, signed for and started behind five controls")
	s.out.sayf("manifest: SHA-256 of seven tool definitions and of the executable; a reviewer has signed it")
	return nil
}

// self runs this program again. Its standard error is shared, so that a failure of
// the server is seen.
func (s *stage) self(args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(s.ctx, exe, args...) //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// start runs the server as a child process and connects the official client.
func (s *stage) start() error {
	cmd, err := s.self("-serve", string(s.dir))
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "quickstart", Version: "1.0.0"}, nil)
	if s.client, err = client.Connect(s.ctx, &mcp.CommandTransport{Command: cmd}, nil); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	s.out.sayf("child process %d speaks MCP over stdio", cmd.Process.Pid)
	return nil
}

func (s *stage) call(tool string, args any) (*mcp.CallToolResult, error) {
	return s.client.CallTool(s.ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
}

func (s *stage) ordinary() error {
	s.out.scene("Ordinary calls pass")
	list, err := s.client.ListTools(s.ctx, nil)
	if err != nil {
		return err
	}
	s.out.sayf("tools/list shows %d tools; delete_note is not among them, since this caller may not use it", len(list.Tools))
	if len(list.Tools) != 6 {
		return fmt.Errorf("listed %d tools instead of 6", len(list.Tools))
	}
	for _, c := range []struct {
		tool string
		args any
	}{
		{"read_note", named{"welcome.txt"}},
		{"write_note", note{"todo.txt", "Learn what a guard refuses.\n"}},
		{"backup_notes", nothing{}},
	} {
		res, err := s.call(c.tool, c.args)
		if err != nil || res.IsError {
			return fmt.Errorf("%s was refused: %w", c.tool, errors.Join(err, resultError(res)))
		}
		s.out.passed(c.tool, firstText(res))
	}
	if _, err := os.Stat(filepath.Join(s.dir.notes(), "todo.txt")); err != nil {
		return fmt.Errorf("write_note wrote nothing: %w", err)
	}
	return nil
}

func (s *stage) unknownTool() error {
	s.out.scene("A tool nobody offered")
	return s.refused("send_mail", nothing{}, "guard.unknown_tool")
}

func (s *stage) withoutRights() error {
	s.out.scene("A tool the caller has no right to")
	if err := s.refused("delete_note", named{"welcome.txt"}, "allowlist.denied"); err != nil {
		return err
	}
	s.out.sayf("the answer is the one for a tool that does not exist, and the file is still there")
	_, err := os.Stat(filepath.Join(s.dir.notes(), "welcome.txt"))
	return err
}

func (s *stage) flood() error {
	s.out.scene("A flood of calls")
	var passed int
	for range 20 {
		if _, err := s.call("list_notes", nothing{}); err != nil {
			s.out.sayf("%d calls passed, then", passed)
			if passed != 5 {
				return fmt.Errorf("%d calls passed instead of 5", passed)
			}
			return s.refused("list_notes", nothing{}, "ratelimit.exceeded")
		}
		passed++
	}
	return errors.New("20 calls passed without a limit")
}

func (s *stage) foreignCredential() error {
	s.out.scene("A tool that asks for another tool's credential")
	return s.refused("share_notes", named{"welcome.txt"}, "creds.not_bound")
}

func (s *stage) rugPull() error {
	s.out.scene("A tool whose description changes while the server runs (rug pull)")
	if res, err := s.call("check_updates", nothing{}); err != nil || res.IsError {
		return fmt.Errorf("check_updates: %w", errors.Join(err, resultError(res)))
	}
	s.out.sayf("a library inside the server has rewritten what read_note says of itself; no notification was sent")
	s.out.sayf("the guard rings its alarm on the server's standard error, and")
	if err := s.refused("read_note", named{"welcome.txt"}, "attest.definition_mismatch"); err != nil {
		return err
	}
	if res, err := s.call("write_note", note{"todo.txt", "Still at work.\n"}); err != nil || res.IsError {
		return fmt.Errorf("an honest tool stopped too: %w", errors.Join(err, resultError(res)))
	}
	s.out.sayf("the other tools work on")
	return nil
}
