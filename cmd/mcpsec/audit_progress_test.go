package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressBar(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	now := sampleTime
	p := &progressBar{w: &b, now: func() time.Time { return now }, began: now}
	p.step(1, 100)
	if b.Len() > 0 {
		t.Errorf("a short task shows %q", b.String())
	}
	p.done()
	if b.Len() > 0 {
		t.Errorf("what was not drawn is removed: %q", b.String())
	}
	now = now.Add(progressAfter)
	p.step(50, 100)
	p.step(51, 100) // at once: too often
	if got := b.String(); got != "\r["+strings.Repeat("=", 20)+strings.Repeat(" ", 20)+"]  50%" {
		t.Errorf("%q", got)
	}
	now = now.Add(time.Second)
	p.step(500, 100) // the log grew while it was read
	p.step(1, 0)
	if !strings.HasSuffix(b.String(), "] 100%") {
		t.Errorf("%q", b.String())
	}
	p.done()
	if !strings.HasSuffix(b.String(), " \r") {
		t.Error("the bar stays")
	}
	if newProgress(&b) != nil {
		t.Error("a bar where there is no terminal")
	}
	var none *progressBar
	none.done()
	if none.callback() != nil {
		t.Error("a bar that is not there calls back")
	}
}
