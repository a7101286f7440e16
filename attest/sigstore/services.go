package sigstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/mcpsec/mcpsec-go/internal/regular"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Services are what takes part in a signature. URLs are https, except on the
// loopback, and have no path beyond what the service is mounted under; that of a
// timestamp authority is complete.
type Services struct {
	Fulcio     string   // certificate authority
	RekorV1    []string // transparency logs
	RekorV2    []string
	Timestamps []string // RFC 3161; Rekor v2 needs one
}

func (s Services) check() error {
	if err := checkURL("Fulcio", s.Fulcio); err != nil {
		return err
	}
	for what, urls := range map[string][]string{"Rekor": append(append([]string(nil), s.RekorV1...), s.RekorV2...), "timestamp authority": s.Timestamps} {
		for _, u := range urls {
			if err := checkURL(what, u); err != nil {
				return err
			}
		}
	}
	switch {
	case len(s.RekorV1)+len(s.RekorV2) == 0:
		return errors.New("no transparency log: a certificate that lives for minutes proves nothing later without one")
	case len(s.RekorV1) == 0 && len(s.Timestamps) == 0:
		return errors.New("no timestamp authority: Rekor v2 does not say when it saw a signature")
	}
	return nil
}

// maxConfig bounds a signing configuration, in bytes.
const maxConfig = 1 << 20

// SigningConfigFile reads services from a signing_config.json file (v0.2), the ones
// that it selects for now.
func SigningConfigFile(path string) (Services, error) {
	data, err := regular.ReadFile(path, maxConfig)
	if err == nil {
		err = mcpsec.CheckJSON(data)
	}
	if err != nil {
		return Services{}, fmt.Errorf("sigstore.SigningConfigFile: %w", err)
	}
	s, err := selectServices(data, time.Now())
	if err != nil {
		return Services{}, fmt.Errorf("sigstore.SigningConfigFile: %s: %w", path, err)
	}
	return s, nil
}

func selectServices(data []byte, now time.Time) (Services, error) {
	c, err := root.NewSigningConfigFromJSON(data)
	if err != nil {
		return Services{}, err
	}
	ca, err := root.SelectService(c.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return Services{}, fmt.Errorf("certificate authority: %w", err)
	}
	s := Services{Fulcio: ca.URL}
	logs, err := root.SelectServices(c.RekorLogURLs(), c.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return Services{}, fmt.Errorf("transparency log: %w", err)
	}
	for _, l := range logs {
		if l.MajorAPIVersion == 2 {
			s.RekorV2 = append(s.RekorV2, l.URL)
		} else {
			s.RekorV1 = append(s.RekorV1, l.URL)
		}
	}
	if len(c.TimestampAuthorityURLs()) > 0 {
		authorities, err := root.SelectServices(c.TimestampAuthorityURLs(), c.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return Services{}, fmt.Errorf("timestamp authority: %w", err)
		}
		for _, a := range authorities {
			s.Timestamps = append(s.Timestamps, a.URL)
		}
	}
	return s, s.check()
}
