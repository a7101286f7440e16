package sigstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A Token returns an OpenID Connect identity token for the certificate authority. It
// is asked once for each signature, and the token is kept no longer.
type Token func(ctx context.Context) (string, error)

// maxToken bounds an identity token, in bytes.
const maxToken = 64 << 10

// TokenFile reads the token of a workload from a file, anew for each signature,
// because whoever put it there renews it.
func TokenFile(path string) Token {
	return func(context.Context) (string, error) {
		data, err := regular.ReadFile(path, maxToken)
		return strings.TrimSpace(string(data)), err
	}
}

// timeout bounds the making of one signature, with all its requests.
const timeout = 2 * time.Minute

// Sign returns a signer that makes a new key for each signature, has the authority
// certify it for the identity of the token, and forgets it: who signs is the
// identity, and what was signed stands in a public log. The payload of a manifest is
// therefore public in its digest, and the identity in clear.
//
// A signature takes at most two minutes. Nothing is asked a second time: one that
// failed leaves at most a certificate and log entries that nobody uses.
//
// What comes back from the services is not checked here; verify the bundle with
// Keyless, as its readers will.
func Sign(s Services, token Token) (envelope.Signer, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("sigstore.Sign: %w", err)
	}
	if token == nil {
		return nil, errors.New("sigstore.Sign: no Token: the certificate authority must know who asks")
	}
	return &signer{services: s, token: token}, nil
}

type signer struct {
	services Services
	token    Token
}

// Describe implements envelope.Signer.
func (s *signer) Describe() string { return "keyless, certified by " + s.services.Fulcio }

// Sign implements envelope.Signer.
func (s *signer) Sign(ctx context.Context, payloadType string, payload []byte) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("a library failed on the answer of a service")
		}
		if err != nil {
			err = fmt.Errorf("sigstore.Sign: %w", err)
		}
	}()
	if payloadType == "" || len(payload) == 0 || len(payload) > envelope.MaxBundle/2 {
		return nil, fmt.Errorf("the payload or its type is empty, or it is longer than %d bytes", envelope.MaxBundle/2)
	}
	token, err := s.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if strings.Count(token, ".") != 2 || len(token) > maxToken {
		return nil, errors.New("token: not a JSON web token")
	}
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	base := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	defer base.CloseIdleConnections()
	opts, err := s.options(ctx, scoped{ctx: ctx, base: base}, token)
	if err != nil {
		return nil, err
	}
	b, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: payloadType}, key, opts)
	if err != nil {
		return nil, readable(err, token)
	}
	line, err := oneLine(protojson.Marshal(b))
	if err != nil {
		return nil, err
	}
	if _, err := envelope.Parse(line); err != nil { // what no reader takes is not handed out
		return nil, fmt.Errorf("what the services answered makes no bundle: %w", err)
	}
	return line, nil
}

func (s *signer) options(ctx context.Context, transport http.RoundTripper, token string) (sign.BundleOptions, error) {
	opts := sign.BundleOptions{
		Context: ctx,
		CertificateProvider: sign.NewFulcio(&sign.FulcioOptions{
			BaseURL: strings.TrimSuffix(s.services.Fulcio, "/"), Timeout: timeout, Transport: transport,
		}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, u := range s.services.Timestamps {
		opts.TimestampAuthorities = append(opts.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: u, Timeout: timeout, Transport: transport}))
	}
	for _, u := range s.services.RekorV1 {
		client, err := newRekorV1(u, transport)
		if err != nil {
			return opts, err
		}
		opts.TransparencyLogs = append(opts.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{Version: 1, Timeout: timeout, Client: client}))
	}
	for _, u := range s.services.RekorV2 {
		opts.TransparencyLogs = append(opts.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{Version: 2, ClientV2: rekorV2{url: u, transport: transport}}))
	}
	return opts, nil
}

// readable keeps an answer that was put into an error short, and the token out of it.
func readable(err error, token string) error {
	text := err.Error()
	if !strings.Contains(text, token) && len(text) <= 1024 {
		return err
	}
	text = strings.ReplaceAll(text, token, "[token]")
	return errors.New(strings.ToValidUTF8(text[:min(len(text), 1024)], ""))
}

func oneLine(data []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	err = json.Compact(&line, data)
	return line.Bytes(), err
}
