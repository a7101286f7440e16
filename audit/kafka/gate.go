package kafka

import (
	"context"
	"net"
	"sync"
)

// A gate is closed while a group is handed to the client, which may begin to send
// what it has of it. Brokers hear nothing until it is complete: were they to refuse
// its beginning before, what is handed over after that would overtake it.
type gate struct{ sync.RWMutex }

// dial is how a client connects.
type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// behind returns a dial whose connections write when the gate is open.
func (g *gate) behind(d dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return gated{conn, g}, nil
	}
}

type gated struct {
	net.Conn
	gate *gate
}

func (c gated) Write(b []byte) (int, error) {
	c.gate.RLock()
	c.gate.RUnlock() //nolint:gocritic,staticcheck // waits until the gate is open, and guards nothing
	return c.Conn.Write(b)
}
