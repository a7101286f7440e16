package cases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// folder holds a server's files.
type folder string

func (f folder) audit() string { return filepath.Join(string(f), "audit") }
func (f folder) key() string   { return filepath.Join(string(f), "seal.key") }

// A Server is the server of a case, in force and ready for clients. It is safe for
// concurrent use.
type Server struct {
	served Case
	mcp    *mcp.Server
	guard  *mcpsec.Guard // nil on a bare server

	mu     sync.Mutex
	alarms []error
	idle   map[Level][]Caller
}

// Start starts the case's server. Its files go to dir, which must exist and be its
// own.
func (c Case) Start(dir string) (*Server, error) {
	beLetIn()
	s := &Server{served: c, idle: make(map[Level][]Caller)}
	if err := s.start(folder(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("case %q: %w", c.Name, err), s.Close())
	}
	return s, nil
}

func (s *Server) start(dir folder) (err error) {
	if err := os.WriteFile(dir.key(), make([]byte, keySize), 0o600); err != nil {
		return err
	}
	if !s.served.guarded {
		s.mcp, err = newServer(nil, dir)
		return err
	}
	controls := []mcpsec.Control{mcpsec.Settings{OnAlarm: s.alarm}}
	for _, control := range s.served.controls {
		c, err := control(dir)
		if err != nil {
			return err
		}
		controls = append(controls, c)
	}
	if s.guard, err = mcpsec.New(controls...); err != nil {
		return err
	}
	if s.mcp, err = newServer(s.guard, dir); err != nil {
		return err
	}
	return s.guard.Install(s.mcp)
}

func (s *Server) alarm(a mcpsec.Alarm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms = append(s.alarms, fmt.Errorf("case %q: alarm %s: %s", s.served.Name, a.Code, a.Detail))
}

// Close disconnects the clients and closes the guard. It returns the alarms that
// were raised.
func (s *Server) Close() error {
	s.mu.Lock()
	idle := s.idle
	s.idle = make(map[Level][]Caller)
	s.mu.Unlock()
	var faults []error
	for _, callers := range idle {
		for _, c := range callers {
			faults = append(faults, c.Close())
		}
	}
	if s.guard != nil {
		faults = append(faults, s.guard.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(append(faults, s.alarms...)...)
}
