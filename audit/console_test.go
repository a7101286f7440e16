package audit

import (
	"context"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestConsole(t *testing.T) {
	var out strings.Builder
	l := New(Console(&out))
	l.now = ticking()
	g, err := mcpsec.New(l)
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcpsec.Wrap(g, "notes_read", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{IsError: true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = h(t.Context(), request("notes_read", "{}"))
	_, _ = h(t.Context(), request("other", "{}"))
	got := regexp.MustCompile(`id=\S+`).ReplaceAllString(out.String(), "id=ID")
	want := `10:00:00.002 DBG tools/call notes_read event=attempt principal=anonymous id=ID
10:00:00.003 ERR tools/call notes_read decision=error latency=2ms principal=anonymous id=ID
10:00:00.005 WRN tools/call notes_read decision=refused code=guard.foreign_handler control=guard detail="the handler wrapped for \"notes_read\" was called as \"other\"" latency=1ms principal=anonymous id=ID
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Whatever a caller sends, a terminal sees printable characters, one line a
// record, and the colours that tint itself sets.
func TestTerminalInjection(t *testing.T) {
	all := map[string]string{
		"escape that tint makes":       `a b \x1b[2J \\x1b]0;pwned`,
		"text that tint drops":         "a\ufffd and here is the rest",
		"text that tint drops (bytes)": "a\xff and here is the rest",
	}
	maps.Copy(all, attacks)
	colours := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for name, attack := range all {
		for _, colour := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				var out strings.Builder
				c := newConsole(&out, colour)
				for _, text := range []string{attack, attack + " end=here"} {
					out.Reset()
					err := c.Record(t.Context(), &Event{
						Kind: Outcome, Time: time.Now(), ID: text, Method: text, Name: text, Decision: Decision(text), Code: text,
						Control: text, Reason: text, Detail: text, Principal: Principal{Rung: text, Subject: text},
						Findings: []Finding{{Control: text, Code: text, Reason: text}}, Notes: []mcpsec.Note{{Key: text, Value: text}},
					})
					if err != nil {
						t.Fatal(err)
					}
					line, ended := strings.CutSuffix(out.String(), "\n")
					if colour {
						line = colours.ReplaceAllString(line, "")
					}
					if r, found := forbidden(line); found || !ended {
						t.Errorf("%U is in %q", r, line)
					}
					if n := strings.Count(line, "end=here"); strings.HasSuffix(text, "here") && n != 15 {
						t.Errorf("%d of 15 texts are whole in %q", n, line)
					}
				}
			})
		}
	}
}

func TestConsoleNameIsNoAttribute(t *testing.T) {
	var out strings.Builder
	e := &Event{Kind: Outcome, Method: "x decision=allowed", Name: "y\" decision=allowed", Decision: Refused}
	if err := newConsole(&out, false).Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if want := `WRN "x decision=allowed" "y\" decision=allowed" decision=refused`; !strings.Contains(out.String(), want) {
		t.Errorf("got %s", &out)
	}
}

func TestConsoleWriteFails(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_ = w.Close()
	_, err = drive(t, ok, `{}`, New(Console(w)))
	denied(t, err)
}

func TestColour(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, like a terminal
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	regular, err := os.Create(logFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	if colourful(&strings.Builder{}, func(string) string { return "" }) || colourful(regular, func(string) string { return "" }) {
		t.Error("colour where there is no terminal")
	}
	for env, want := range map[string]bool{"": true, "NO_COLOR=1": false, "TERM=dumb": false, "TERM=xterm": true} {
		name, value, _ := strings.Cut(env, "=")
		got := colourful(null, func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		if got != want {
			t.Errorf("%q: %v", env, got)
		}
	}
}
