package sigstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/mcpsec/mcpsec-go/attest/internal/keyless"
)

// A Repository is where a trusted root is fetched from, by The Update Framework.
type Repository struct {
	// Mirror is the URL of the repository; https, except on the loopback.
	Mirror string
	// Root is the first root.json, which the later ones are signed by. It must come
	// with the program or its configuration, never from the mirror.
	Root []byte
	// Cache is a folder that remembers the newest metadata, so that an older state of
	// the repository is refused across restarts. Without one, an attacker who holds
	// the mirror can show any state that has not expired.
	Cache string
	// Client makes the requests; nil means one with a limit of 30 s each.
	Client *http.Client
}

// refresh is how long a root that was fetched is used before it is asked for again.
const refresh = 24 * time.Hour

// TUF fetches the trusted root when the first bundle is verified, and again after a
// day. A repository that cannot be reached, whose metadata has expired (a freeze) or
// is older than known (a rollback) makes verification fail. No variable
// SIGSTORE_... is read, and nothing runs in the background.
func TUF(r Repository) Option {
	return func(p *keyless.Policy) error {
		if err := checkURL("TUF", r.Mirror); err != nil {
			return err
		}
		if len(r.Root) == 0 {
			return errors.New("TUF: no root.json: the repository cannot vouch for itself")
		}
		if r.Client == nil {
			r.Client = &http.Client{Timeout: 30 * time.Second}
		}
		f := &fetched{repository: r, now: p.Now}
		return keyless.Trust(f.root)(p)
	}
}

type fetched struct {
	repository Repository
	now        func() time.Time

	mu   sync.Mutex
	last root.TrustedMaterial
	at   time.Time
}

func (f *fetched) root(ctx context.Context) (root.TrustedMaterial, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil && f.now().Sub(f.at) < refresh {
		return f.last, nil
	}
	r := f.repository
	client, err := tuf.New(&tuf.Options{
		Root: r.Root, RepositoryBaseURL: r.Mirror, CachePath: r.Cache, DisableLocalCache: r.Cache == "",
		Fetcher: download{ctx: ctx, client: r.Client},
	})
	if err != nil {
		return nil, fmt.Errorf("TUF: %s: %w", r.Mirror, err)
	}
	data, err := client.GetTarget("trusted_root.json")
	if err != nil {
		return nil, fmt.Errorf("TUF: %s: %w", r.Mirror, err)
	}
	m, err := keyless.ParseRoot(data)
	if err != nil {
		return nil, fmt.Errorf("TUF: %s: %w", r.Mirror, err)
	}
	f.last, f.at = m, f.now()
	return m, nil
}

// download is the fetcher of one refresh. The library has no place for a context.
type download struct {
	ctx    context.Context //nolint:containedctx // lives as long as the call it belongs to
	client *http.Client
}

// DownloadFile implements the fetcher of go-tuf. The timeout is that of the client.
func (d download) DownloadFile(address string, limit int64, _ time.Duration) (_ []byte, err error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: resp.StatusCode, URL: address} // 404 ends the search for newer roots
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", address, limit)
	}
	return data, err
}
