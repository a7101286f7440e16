package egress

import (
	"errors"
	"time"
)

// Limits bound what a program does through a [Server] or a [Dialer] in its life. Zero in
// one field means the default of that field.
type Limits struct {
	Parallel  int           `json:"parallel,omitempty"`  // connections open at one time
	Total     int64         `json:"total,omitempty"`     // connections
	Sent      int64         `json:"sent,omitempty"`      // bytes from the program
	Received  int64         `json:"received,omitempty"`  // bytes to the program
	Idle      time.Duration `json:"idle,omitempty"`      // a connection in which nothing moves is closed
	Handshake time.Duration `json:"handshake,omitempty"` // until it is known what a connection is, and until a host is reached
	Queries   int           `json:"queries,omitempty"`   // questions for names in a second; ten times as many at once
}

// DefaultLimits are the limits of the zero value.
var DefaultLimits = Limits{
	Parallel: 256, Total: 1 << 20, Sent: 16 << 30, Received: 64 << 30,
	Idle: 10 * time.Minute, Handshake: 10 * time.Second, Queries: 50,
}

func (l Limits) withDefaults() (Limits, error) {
	d := DefaultLimits
	for _, n := range []struct{ have, def *int }{{&l.Parallel, &d.Parallel}, {&l.Queries, &d.Queries}} {
		if *n.have == 0 {
			*n.have = *n.def
		}
	}
	for _, n := range []struct{ have, def *int64 }{{&l.Total, &d.Total}, {&l.Sent, &d.Sent}, {&l.Received, &d.Received}} {
		if *n.have == 0 {
			*n.have = *n.def
		}
	}
	for _, n := range []struct{ have, def *time.Duration }{{&l.Idle, &d.Idle}, {&l.Handshake, &d.Handshake}} {
		if *n.have == 0 {
			*n.have = *n.def
		}
	}
	if l.Parallel < 0 || l.Total < 0 || l.Sent < 0 || l.Received < 0 || l.Idle < 0 || l.Handshake < 0 || l.Queries < 0 {
		return l, errors.New("egress: a limit is negative: give a positive number, or 0 for the default")
	}
	return l, nil
}
