package sigstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-openapi/runtime"
	transport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	entryv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxAnswer bounds what a service may answer, in bytes.
const maxAnswer = 4 << 20

// scoped makes requests end with the signature that they are for, and answers
// bounded, where a library provides for neither.
type scoped struct {
	ctx  context.Context //nolint:containedctx // lives as long as the call it belongs to
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s scoped) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) { // after a redirect
		return nil, errors.New("the request would leave TLS")
	}
	resp, err := s.base.RoundTrip(r.WithContext(s.ctx))
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
		// The libraries would wait, close the answer and then fail to read it.
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // what there is of it
		return nil, errors.Join(fmt.Errorf("%s: %s", resp.Status, text), resp.Body.Close())
	}
	return resp, nil
}

// newRekorV1 returns the generated client of Rekor v1. The constructor that comes
// with it takes no transport.
func newRekorV1(address string, rt http.RoundTripper) (sign.RekorClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Path == "" {
		u.Path = client.DefaultBasePath
	}
	r := transport.NewWithClient(u.Host, u.Path, []string{u.Scheme}, &http.Client{Transport: rt})
	r.Consumers["application/json"], r.Producers["application/json"] = runtime.JSONConsumer(), runtime.JSONProducer()
	formats := strfmt.NewFormats()
	formats.Add("signedCheckpoint", &util.SignedNote{}, util.SignedCheckpointValidator)
	return client.New(r, formats).Entries, nil
}

// rekorV2 adds entries to a log of Rekor v2.
type rekorV2 struct {
	url       string
	transport http.RoundTripper
}

// Add implements sign.RekorV2Client.
func (l rekorV2) Add(ctx context.Context, entry any) (_ *entryv1.TransparencyLogEntry, err error) {
	hashed, ok := entry.(*rekortiles.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("an entry of type %T has no place in Rekor v2", entry)
	}
	request, err := protojson.Marshal(&rekortiles.CreateEntryRequest{Spec: &rekortiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed}})
	if err != nil {
		return nil, err
	}
	address, err := url.JoinPath(l.url, "api/v2/log/entries")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: l.transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("%s: %s: %s", address, resp.Status, answer)
	}
	e := new(entryv1.TransparencyLogEntry)
	return e, protojson.Unmarshal(answer, e)
}
