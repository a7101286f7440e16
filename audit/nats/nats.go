package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	gonats "github.com/nats-io/nats.go"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Config says where the record goes. URLs, Stream and Subject are required.
type Config struct {
	// URLs are those of the servers, nats://host:port or tls://host:port, tried in
	// random order. Both mean TLS unless AllowPlaintext is set. They hold no
	// credentials: those are in Options.
	URLs []string
	// Stream stores the subject. A record that another stream, or none, would store
	// is not delivered. Its duplicate_window should be longer than any outage: what
	// comes again within it is stored once.
	Stream string
	// Subject is what all records are published to, for example "audit.files". Give
	// each ledger one of its own, and nobody else the right to publish to it.
	Subject string
	Format  audit.Format // nil is audit.JSON
	// Options are those of the connection: gonats.UserCredentials, gonats.Nkey,
	// gonats.RootCAs, gonats.ClientCert, timeouts, callbacks. They apply to each
	// connection in turn: after an error the next delivery makes a new one. Servers,
	// reconnecting, its buffer and TLS are set by this package, whatever Options say.
	Options []gonats.Option
	// AllowPlaintext lets the record, and a password, cross the network unencrypted
	// where the server does not ask for TLS.
	AllowPlaintext bool
}

// New returns a destination, without connecting to it yet. Its errors name the
// fields of the Config at fault, all of them at once.
func New(c Config) (*Destination, error) {
	var faults []error
	if len(c.URLs) == 0 {
		faults = append(faults, errors.New("nats.Config.URLs: none: name at least one server"))
	}
	for i, u := range c.URLs {
		if err := checkURL(u); err != nil {
			faults = append(faults, fmt.Errorf("nats.Config.URLs[%d]: %w", i, err))
		}
	}
	if !isToken(c.Stream) || strings.ContainsAny(c.Stream, `./\`) {
		faults = append(faults, fmt.Errorf("nats.Config.Stream: %q is no name of a stream", c.Stream))
	}
	for token := range strings.SplitSeq(c.Subject, ".") {
		if !isToken(token) {
			faults = append(faults, fmt.Errorf("nats.Config.Subject: %q is no subject to publish to: tokens, joined by '.', without wildcards", c.Subject))
			break
		}
	}
	if c.Format == nil {
		c.Format = audit.JSON
	}
	o, err := c.options()
	switch {
	case err != nil:
		faults = append(faults, fmt.Errorf("nats.Config.Options: %w", err))
	case o.TLSConfig != nil && o.TLSConfig.MinVersion != 0 && o.TLSConfig.MinVersion < tls.VersionTLS12:
		faults = append(faults, errors.New("nats.Config.Options: MinVersion is below TLS 1.2: leave it out"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &Destination{config: c}, nil
}

// checkURL returns an error that does not hold the URL: there may be a password in
// it.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "nats" && u.Scheme != "tls"):
		return errors.New("not of the form nats://host:port or tls://host:port")
	case u.User != nil:
		return errors.New("holds credentials, which end up in logs: use gonats.UserCredentials, gonats.Nkey or gonats.UserInfo in Options")
	}
	return nil
}

// isToken reports whether s can be one part of a subject.
func isToken(s string) bool {
	return s != "" && !strings.ContainsAny(s, "*> .") && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	})
}

// options are those of the next connection.
func (c *Config) options() (gonats.Options, error) {
	o := gonats.GetDefaultOptions()
	o.Name = "mcpsec audit"
	for i, option := range c.Options {
		if option == nil {
			return o, fmt.Errorf("[%d]: nil", i)
		}
		if err := option(&o); err != nil {
			return o, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	o.Url, o.Servers = "", c.URLs
	// A connection that breaks is over. One that mends itself would go on with later
	// records while earlier ones are lost, or keep them in memory.
	o.AllowReconnect, o.RetryOnFailedConnect, o.ReconnectBufSize = false, false, -1
	o.SkipHostLookup = true // by a lookup that no deadline ends; the dialer has its own
	if !c.AllowPlaintext {
		o.Secure = true
	}
	return o, nil
}
