package stdio

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A network is the way out of one launch; nil without hosts to reach.
type network struct {
	server *egress.Server
}

// network makes the way out that the profile asks for.
func (l *Launch) network() (*network, error) {
	if len(l.Profile.Egress) == 0 {
		if l.Egress.Policy != nil {
			return nil, errors.New("stdio: Launch.Egress.Policy without Profile.Egress: list the hosts in the profile, which the report shows")
		}
		return nil, nil
	}
	config := l.Egress
	if config.Policy != nil {
		return nil, errors.New("stdio: Launch.Egress.Policy and Profile.Egress: list the hosts in the profile alone")
	}
	var err error
	if config.Policy, err = egress.Parse(l.Profile.Egress...); err != nil {
		return nil, fmt.Errorf("stdio: Profile.Egress: %w", err)
	}
	told := config.OnEvent
	config.OnEvent = func(e egress.Event) {
		if told != nil {
			told(e)
		}
		l.tell(Event{Kind: Network, Egress: &e})
	}
	server, err := egress.NewServer(config)
	if err != nil {
		return nil, fmt.Errorf("stdio: egress: %w", err)
	}
	return &network{server}, nil
}

// variables say to programs that ask for it where the proxy is. Those that do not ask
// reach the same hosts. Without a namespace only TCP leads out, also to name servers, and
// the resolver of the C library must be told.
func (n *network) variables(bare bool) []string {
	if n == nil {
		return nil
	}
	const none = "localhost,127.0.0.1,::1"
	proxy := "http://127.0.0.1:" + strconv.Itoa(egress.ProxyPort)
	vars := []string{
		"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "http_proxy=" + proxy, "https_proxy=" + proxy,
		"NO_PROXY=" + none, "no_proxy=" + none, "NODE_USE_ENV_PROXY=1",
	}
	if bare {
		vars = append(vars, "RES_OPTIONS=use-vc")
	}
	return vars
}

// attach lets the sandbox hand over its sockets.
func (n *network) attach(l *Launch, cmd *sandbox.Command, run *prepared) {
	if n == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var supervised sync.WaitGroup
	run.discard = append(run.discard, func() error {
		cancel()
		supervised.Wait()
		return n.server.Close()
	})
	cmd.Network = func(sockets sandbox.Network) error {
		if sockets.Notify == nil {
			return n.server.Serve(egress.Sockets{Proxy: sockets.Proxy, Transparent: sockets.Transparent, DNS: sockets.DNS})
		}
		supervised.Go(func() {
			if err := sockets.Supervise(ctx, n.server.Connect); err != nil && ctx.Err() == nil {
				l.tell(Event{Kind: Broken, Detail: "egress: " + err.Error() + ": the server reaches no host any more"})
			}
		})
		return nil
	}
}

func (n *network) close() error {
	if n == nil {
		return nil
	}
	return n.server.Close()
}
