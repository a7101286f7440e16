package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// working says on a terminal what is being done and for how long, until stop is called.
// What is over soon shows nothing.
func working(w io.Writer, what string) (stop func()) {
	if !isTerminal(w, os.Getenv) {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressAfter)
		defer tick.Stop()
		tell(w, what, tick.C, quit)
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// tell writes a line again with every tick, and removes it at the end.
func tell(w io.Writer, what string, tick <-chan time.Time, quit <-chan struct{}) {
	var began time.Time
	width := 0
	for {
		select {
		case <-quit:
			if width > 0 {
				_, _ = fmt.Fprintf(w, "\r%s\r", strings.Repeat(" ", width))
			}
			return
		case now := <-tick:
			if began.IsZero() {
				began = now.Add(-progressAfter)
			}
			line := fmt.Sprintf("%s, %d s", what, int(now.Sub(began).Seconds()))
			width = max(width, len(line))
			_, _ = fmt.Fprint(w, "\r"+line)
		}
	}
}
