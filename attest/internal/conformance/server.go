package conformance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/strfmt"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"google.golang.org/protobuf/encoding/protojson"
)

// Serve answers as an issuer of identity tokens, Fulcio, a certificate transparency log, Rekor v1, Rekor v2 and a
// timestamp authority do, on one address, for the life of the test.
func (l *Lab) Serve() *httptest.Server {
	l.TB.Helper()
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(r *http.Request, body []byte, h http.Header) ([]byte, error){
		"GET /.well-known/openid-configuration": l.serveDiscovery,
		"GET /keys":                             l.serveKeys,
		"POST /ct/v1/add-pre-chain":             l.servePreChain,
		"POST /api/v1/signingCert":              l.serveOldCertificate,
		"POST /api/v2/signingCert":              l.serveCertificate,
		"POST /api/v1/timestamp":                l.serveTimestamp,
		"POST /api/v1/log/entries":              l.serveV1,
		"POST /api/v2/log/entries":              l.serveV2,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
			if err == nil {
				body, err = answer(r, body, w.Header())
			}
			switch {
			case err != nil:
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			case strings.Contains(pattern, "entries"), strings.Contains(pattern, "/v1/signingCert"):
				w.WriteHeader(http.StatusCreated)
			}
			_, _ = w.Write(body) // the client may be gone
		})
	}
	s := httptest.NewServer(mux)
	l.TB.Cleanup(s.Close)
	return s
}

// serveCertificate is Fulcio: a token, a public key and the proof that its owner asks.
func (l *Lab) serveCertificate(r *http.Request, body []byte, _ http.Header) ([]byte, error) {
	var in struct {
		Request struct {
			Key struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			Proof []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	chain, err := l.certify(r, []byte(in.Request.Key.Content), in.Request.Proof)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// serveOldCertificate is the first version of Fulcio's API, which cosign v2 asks.
func (l *Lab) serveOldCertificate(r *http.Request, body []byte, h http.Header) ([]byte, error) {
	var in struct {
		Key struct {
			Content []byte `json:"content"`
		} `json:"publicKey"`
		Proof []byte `json:"signedEmailAddress"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	chain, err := l.certify(r, in.Key.Content, in.Proof)
	h.Set("Content-Type", "application/pem-certificate-chain")
	return []byte(strings.Join(chain, "")), err
}

func (l *Lab) certify(r *http.Request, key, proof []byte) ([]string, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("no public key")
	}
	c, err := l.checkToken(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(c.Subject))
	if key, ok := public.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(key, digest[:], proof) {
		return nil, errors.New("no proof of possession")
	}
	now := time.Now()
	cert := l.CA.issue(l.TB, Request{Subjects: []string{c.Subject}, Issuer: c.Issuer, NotBefore: now.Add(-time.Second), NotAfter: now.Add(10 * time.Minute)}, public, l.CT)
	var chain []string
	for _, c := range []*x509.Certificate{cert, l.CA.cert, l.CA.root} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	return chain, nil
}

func (l *Lab) serveTimestamp(_ *http.Request, body []byte, _ http.Header) ([]byte, error) {
	return l.Timestamp(body, time.Now())
}

// serveV1 is Rekor v1, which stores the hashes and signatures of a DSSE envelope.
func (l *Lab) serveV1(_ *http.Request, body []byte, h http.Header) ([]byte, error) {
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(body), runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	canonical, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		return nil, err
	}
	e := l.V1.Add(proposed.Kind(), "0.0.1", canonical, time.Now())
	p := e.GetInclusionProof()
	hashes := make([]string, 0, len(p.GetHashes()))
	for _, h := range p.GetHashes() {
		hashes = append(hashes, hex.EncodeToString(h))
	}
	id, rootHash, checkpoint := l.V1.ID(), hex.EncodeToString(p.GetRootHash()), p.GetCheckpoint().GetEnvelope()
	uuid := fmt.Sprintf("%064x", sha256.Sum256(canonical))
	h.Set("Content-Type", "application/json")
	h.Set("ETag", uuid)
	h.Set("Location", "/api/v1/log/entries/"+uuid)
	return json.Marshal(models.LogEntry{uuid: models.LogEntryAnon{
		Body: base64.StdEncoding.EncodeToString(canonical), IntegratedTime: &e.IntegratedTime, LogID: &id, LogIndex: &e.LogIndex,
		Verification: &models.LogEntryAnonVerification{
			SignedEntryTimestamp: strfmt.Base64(e.GetInclusionPromise().GetSignedEntryTimestamp()),
			InclusionProof:       &models.InclusionProof{Checkpoint: &checkpoint, Hashes: hashes, LogIndex: &p.LogIndex, RootHash: &rootHash, TreeSize: &p.TreeSize},
		},
	}})
}

// serveV2 is Rekor v2, which stores a digest and its signature.
func (l *Lab) serveV2(_ *http.Request, body []byte, _ http.Header) ([]byte, error) {
	in := new(rekortiles.CreateEntryRequest)
	if err := protojson.Unmarshal(body, in); err != nil {
		return nil, err
	}
	hashed := in.GetHashedRekordRequestV002()
	cert, err := x509.ParseCertificate(hashed.GetSignature().GetVerifier().GetX509Certificate().GetRawBytes())
	if err != nil {
		return nil, err
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(key, hashed.GetDigest(), hashed.GetSignature().GetContent()) {
		return nil, errors.New("the signature is not the certificate's")
	}
	return protojson.Marshal(l.V2.Add("hashedrekord", "0.0.2", BodyV2(l.TB, hashed.GetDigest(), hashed.GetSignature()), time.Now()))
}
