package lock

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func changed(t *testing.T, before, after string) Change {
	t.Helper()
	c := Change{Server: "files", Kind: Tool, Name: "a"}
	if before != "" {
		c.Old = define(t, Reviewed, before)
	}
	if after != "" {
		c.New = define(t, refused, after)
	}
	return c
}

func TestLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{
			"words", `{"name":"a","description":"Reads a file from disk."}`, `{"name":"a","description":"Reads a secret file."}`,
			[]string{`~ description: "Reads a [-file from disk."-]{+secret file."+}`},
		},
		{
			"members", `{"name":"a","x":1,"y":{"z":[true,{"q":null}]}}`, `{"name":"a","y":{"z":[false,{"q":null},"n"]},"v":{}}`,
			[]string{`+ v: {}`, `- x: 1`, `~ y.z[0]: [-true-]{+false+}`, `+ y.z[2]: "n"`},
		},
		{"new", ``, `{"name":"a"}`, []string{`+ name: "a"`}},
		{"gone", `{"name":"a"}`, ``, []string{`- name: "a"`}},
		{
			"neg 47: what is hidden shows", `{"name":"a","d":"x"}`, `{"name":"a","d":"x\u202e\u200b\udb40\udc41"}`,
			[]string{`~ d: [-"x"-]{+"x\u202e\u200b\udb40\udc41"+}`},
		},
		{
			"a terminal is not steered", `{"name":"a"}`, `{"name":"a","\u001b[2J":"\u001b]0;x\u0007\n+ y: 1"}`,
			[]string{`+ "\u001b[2J": "\u001b]0;x\u0007\n+ y: 1"`},
		},
		{
			"marks cannot be forged", `{"name":"a","d":"x y"}`, `{"name":"a","d":"x +} [-send-] {+ y"}`,
			[]string{`~ d: "x {++\u007d \u005b-send-\u005d \u007b+ +}y"`},
		},
		{"a path cannot be forged", `{"name":"a","x":{"y":1}}`, `{"name":"a","x":{"y":1},"x.y":2}`, []string{`+ "x.y": 2`}},
	} {
		got := changed(t, test.before, test.after).Lines()
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

// Texts too long to compare word by word are shown in full.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("w ", 3*maxWords)
	lines := changed(t, `{"name":"a","d":"`+long+`"}`, `{"name":"a","d":"`+long+`x"}`).Lines()
	if len(lines) != 1 || !strings.Contains(lines[0], long+`x"+}`) {
		t.Errorf("%.100q", lines)
	}
}

func TestApproveCoversWhatWasShown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mcpsec.lock")
	ctx := t.Context()
	first, second := changed(t, "", `{"name":"a"}`), changed(t, "", `{"name":"a","description":"evil"}`)
	if err := Submit(ctx, path, first); err != nil {
		t.Fatal(err)
	}
	shown, err := Pending(path)
	if err != nil || len(shown) != 1 {
		t.Fatal(shown, err)
	}
	if err := Submit(ctx, path, second); err != nil { // while the reviewer reads
		t.Fatal(err)
	}
	if err := Approve(ctx, path, Reviewed, shown...); err != nil {
		t.Fatal(err)
	}
	file, err := Load(path)
	if err != nil || file.Servers["files"].Tools["a"].SHA256 != first.New.SHA256 {
		t.Errorf("approved something else, %v", err)
	}
	left, err := Pending(path)
	if err != nil || len(left) != 1 || left[0].New.SHA256 != second.New.SHA256 || left[0].Old.SHA256 != first.New.SHA256 {
		t.Errorf("what came later does not wait: %v, %v", left, err)
	}
	// Another reviewer decided on the same in the meantime.
	if err := Approve(ctx, path, Reviewed, second); err == nil {
		t.Error("a change was approved that was shown against another definition")
	}
	if err := Reject(ctx, path, left...); err != nil {
		t.Fatal(err)
	}
	if left, err = Pending(path); err != nil || len(left) != 0 {
		t.Errorf("rejected, but waits: %v, %v", left, err)
	}
	gone := Change{Server: "files", Kind: Tool, Name: "a", Old: first.New}
	if err := Approve(ctx, path, Reviewed, gone); err != nil {
		t.Fatal(err)
	}
	if file, err = Load(path); err != nil || len(file.Servers["files"].Tools) != 0 {
		t.Errorf("not taken out: %v", err)
	}
}

func TestApproveRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mcpsec.lock")
	c := changed(t, "", `{"name":"a"}`)
	if err := Approve(t.Context(), path, refused, c); err == nil {
		t.Error("approved in no way there is")
	}
	c.Server = "fi\u200bles"
	if err := Approve(t.Context(), path, Reviewed, c); err == nil {
		t.Error("approved under a hidden name")
	}
	if err := Seal(t.Context(), path, "files", nil); err == nil {
		t.Error("sealed a server that is not there")
	}
	if _, err := Load(path); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	seen, err := Observe(t.Context(), u.transport())
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Tools) != 3 || len(seen.Prompts) != 1 || len(seen.Resources) != 1 || len(seen.ResourceTemplates) != 1 || seen.Identity == nil {
		t.Errorf("%+v", seen)
	}
}

// A list without an end.
func TestObserveIsBounded(t *testing.T) {
	t.Parallel()
	r := &recorder{seen: &Server{}}
	for i := range maxPages + 1 {
		d := r.page(t.Context(), Tool, page{next: "more"})
		if last := i == maxPages; (d != nil) != last {
			t.Fatalf("page %d: %v", i, d)
		}
	}
	one := page{shown: []shown{{name: "a", text: []byte(`{"name":"a"}`), sha256: "x"}}}
	r = &recorder{seen: &Server{}}
	if d := r.page(t.Context(), Tool, one); d != nil {
		t.Fatal(d)
	}
	if d := r.page(t.Context(), Tool, one); d == nil {
		t.Error("a definition on two pages was recorded")
	}
}
