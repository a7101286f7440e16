package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestFirstUsePinsAndSaysSo(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	var log bytes.Buffer
	session := u.pinned(FirstUse(), Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if err := everything(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	server := u.file().Servers["files"]
	if len(server.Tools) != 3 || len(server.Prompts) != 1 || len(server.Resources) != 1 || len(server.ResourceTemplates) != 1 {
		t.Errorf("pinned: %+v", server)
	}
	if server.Identity.How != OnFirstUse || server.Tools["b"].How != OnFirstUse {
		t.Error("not marked as first use")
	}
	if got := strings.Count(log.String(), "pinned on first use"); got != 7 { // the server, 3 pages of tools, 3 lists
		t.Errorf("%d pins were told:\n%s", got, log.String())
	}
	info, err := os.Stat(u.lock)
	if err != nil || info.Mode().Perm()&^0o644 != 0 {
		t.Errorf("permissions %v, %v", info.Mode(), err)
	}
	// From now on it is as if it had been reviewed.
	if err := everything(t.Context(), u.pinned()); err != nil {
		t.Error(err)
	}
}

// What comes after the first list is not first use.
func TestFirstUseEndsWithTheFirstList(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	session := u.pinned(FirstUse())
	if err := everything(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	u.server.AddTool(&mcp.Tool{Name: "late", InputSchema: json.RawMessage(schema)}, ran)
	for _, s := range []*mcp.ClientSession{session, u.pinned(FirstUse())} {
		err := drain(s.Tools(t.Context(), nil))
		wantCode(t, err, codeUnapproved)
		wantCode(t, call(t.Context(), s, "late"), codeUnapproved)
	}
}

// A server that never ends its first list must not have it open for ever: the list
// belongs to one traversal in one connection.
func TestFirstListIsNotHeldOpen(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	session := u.pinned(FirstUse())
	page, err := session.ListTools(t.Context(), nil) // and never the next page
	if err != nil {
		t.Fatal(err)
	}
	second := u.pinned(FirstUse())
	if _, err := second.ListTools(t.Context(), nil); err != nil {
		t.Errorf("the page that is pinned: %v", err)
	}
	_, err = second.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: page.NextCursor})
	wantCode(t, err, codeUnapproved)
	_, err = session.ListTools(t.Context(), &mcp.ListToolsParams{Cursor: page.NextCursor})
	if err != nil {
		t.Errorf("the traversal itself: %v", err)
	}
}

// One kind after the other is first used; a reviewed server has no first use.
func TestFirstUseOfAReviewedServer(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.server.RemovePrompts("greet")
	u.learn(Reviewed)
	u.rewrite = func(method, _, result string) string {
		if method == "prompts/list" {
			return strings.Replace(result, `"prompts":[`, `"prompts":[{"name":"evil"}`, 1)
		}
		return result
	}
	session := u.pinned(FirstUse())
	wantCode(t, drain(session.Prompts(t.Context(), nil)), codeUnapproved)
}

// Many processes use a server for the first time at once: everyone has their own store,
// as processes do. The file holds each definition once, and no one sees a torn file.
func TestFirstUseAtOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	const clients = 8
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		transport := Pin(u.transport(), u.lock, Name(fmt.Sprintf("files%d", i%2)), FirstUse(), Logger(slog.New(slog.DiscardHandler)))
		session, err := u.dial(transport, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, errs[i] = session.ListTools(t.Context(), nil)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
	file := u.file()
	for _, name := range []string{"files0", "files1"} {
		if server := file.Servers[name]; server == nil || len(server.Tools) != 1 {
			t.Errorf("%s: %+v", name, server)
		}
	}
}

// Lists of one session in parallel, with a refusal among them.
func TestListsInParallel(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.learn(Reviewed)
	u.rewrite = func(method, _, result string) string {
		if method == "prompts/list" {
			return strings.Replace(result, "greets", "sends", 1)
		}
		return result
	}
	session := u.pinned()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := drain(session.Tools(t.Context(), nil)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if d := DenialOf(drain(session.Prompts(t.Context(), nil))); d == nil || d.Code != codeChanged.Name {
				t.Errorf("not refused: %v", d)
			}
		})
	}
	wg.Wait()
	if changes := u.pending(); len(changes) != 1 {
		t.Errorf("waiting: %v", changes)
	}
}
