package lock

import (
	"strings"
	"testing"
)

// Pending tells whether what waits is what a review showed, or came later.
func TestPendingKnowsWhatWasShown(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	change := func(description string) Change {
		t.Helper()
		d, err := Tool.show([]byte(`{"name":"a","description":"` + description + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		return Change{Server: "files", Kind: Tool, Name: "a", New: observed(d)}
	}
	waits := func(c Change, shown bool, what string) {
		t.Helper()
		if err := Submit(t.Context(), u.lock, c); err != nil {
			t.Fatal(err)
		}
		got := u.pending()[0].New
		if got.SHA256 != c.New.SHA256 || (got.Shown == got.SHA256) != shown {
			t.Errorf("%s: %+v", what, got)
		}
	}
	read, evil := change("reads"), change("sends")
	waits(read, false, "nobody looked")
	if err := Shown(t.Context(), u.lock, u.pending()...); err != nil {
		t.Fatal(err)
	}
	waits(read, true, "looked at")
	waits(evil, false, "another one since")
	waits(read, true, "the one that was looked at, again")
	waits(evil, false, "and again another")
	// A review that was under way while it changed showed the older one.
	if err := Shown(t.Context(), u.lock, read); err != nil {
		t.Fatal(err)
	}
	waits(evil, false, "changed under the review")
	// What was forged by the one who submits counts for nothing.
	forged := change("sends more")
	forged.New.Shown = forged.New.SHA256
	waits(forged, false, "said by the server's side")
	if err := Reject(t.Context(), u.lock, forged); err != nil {
		t.Fatal(err)
	}
	waits(read, false, "after a rejection")
	if err := Shown(t.Context(), u.lock, read); err != nil {
		t.Fatal(err)
	}
	if err := Approve(t.Context(), u.lock, Reviewed, u.pending()...); err != nil {
		t.Fatal(err)
	}
	approved, err := u.file().Encode()
	if err != nil || strings.Contains(string(approved), "shown") {
		t.Errorf("%s, %v", approved, err)
	}
	// It has no place in the lock file, nor has what is no digest.
	for _, text := range []string{read.New.SHA256, "x"} {
		edited := strings.Replace(string(approved), `"definition"`, `"shown": "`+text+`", "definition"`, 1)
		if _, err := Decode([]byte(edited)); err == nil {
			t.Errorf("read: %s", text)
		}
	}
}
