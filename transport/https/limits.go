package https

import (
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
)

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	fill(&l.Header, 16<<10)
	fill(&l.Body, 4<<20)
	fill(&l.Result, 16<<20)
	fill(&l.URI, 2<<10)
	fill(&l.Conns, 20_000)
	fill(&l.ConnsPer, 1_000)
	fill(&l.Calls, 1_000)
	fill(&l.CallsPer, 64)
	fill(&l.Bodies, 256<<20)
	fill(&l.BodiesPer, 64<<20)
	fill(&l.Sessions, 20_000)
	fill(&l.SessionsPer, 1_000)
	fill(&l.Streams, 20_000)
	fill(&l.StreamsPer, 1_000)
	fill(&l.HTTP2Streams, 64)
	fill(&l.Batch, 16)
	fill(&l.Read, 30*time.Second)
	fill(&l.Write, 20*time.Second)
	fill(&l.Idle, 5*time.Minute)
	fill(&l.Age, 12*time.Hour)
	fill(&l.KeepAlive, 15*time.Second)
	fill(&l.Warn, 30*time.Second)
	fill(&l.Drain, 20*time.Second)
	return l
}

func fill[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// grace is from the end of a stream to its death.
const grace = time.Second

func (l Limits) registry() stream.Limits {
	return stream.Limits{
		Reading: stream.Bounds{Total: l.Calls, Per: l.CallsPer},
		Call:    stream.Bounds{Total: l.Calls, Per: l.CallsPer},
		Session: stream.Bounds{Total: l.Sessions, Per: l.SessionsPer},
		Stream:  stream.Bounds{Total: l.Streams, Per: l.StreamsPer},
		Weight:  stream.Bounds{Total: l.Bodies, Per: l.BodiesPer},
		Age:     l.Age, Idle: l.Idle, Warn: l.Warn, Kill: grace,
	}
}
