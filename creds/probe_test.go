package creds

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A provider that does not answer keeps a probe no longer than its time.
type deaf struct {
	Provider
	end chan struct{}
}

func (d deaf) Probe(context.Context, Spec) (Access, error) { <-d.end; return Access{}, nil }

func TestProbeOfADeafProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		in := New(ForTool("t", Named("a", deaf{nil, end})))
		time.AfterFunc(time.Hour, func() { close(end) })
		began := time.Now()
		_, _ = Probe(t.Context(), in)
		if took := time.Since(began); took > 2*probeTimeout {
			t.Errorf("Probe took %v", took)
		}
		_ = in.Close()
		<-end
	})
}
