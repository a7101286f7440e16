package conformance

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// sctList is the extension with one signed certificate timestamp (RFC 6962, 3.2 and
// 3.3) over the part of a precertificate that is signed.
func sctList(tb testing.TB, tbs []byte, issuer *x509.Certificate, log *ecdsa.PrivateKey, at time.Time) pkix.Extension {
	tb.Helper()
	id, err := hex.DecodeString(logID(tb, log))
	if err != nil {
		tb.Fatal(err)
	}
	sct := append([]byte{0}, id...)
	sct = binary.BigEndian.AppendUint64(sct, milli(at))
	sct = append(sct, 0, 0) // no extensions
	sct = append(sct, signSCT(tb, tbs, issuer, log, at)...)
	list := append(binary.BigEndian.AppendUint16(nil, uint16(len(sct))), sct...)  //nolint:gosec // short
	list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...) //nolint:gosec // short
	value, err := asn1.Marshal(list)
	if err != nil {
		tb.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}
}

// signSCT is the signature of a timestamp, as TLS writes it.
func signSCT(tb testing.TB, tbs []byte, issuer *x509.Certificate, log *ecdsa.PrivateKey, at time.Time) []byte {
	tb.Helper()
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	signed := binary.BigEndian.AppendUint64([]byte{0, 0}, milli(at)) // version 1, certificate_timestamp
	signed = append(signed, 0, 1)                                    // precert_entry
	signed = append(signed, issuerKey[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs))) //nolint:gosec // three bytes hold it
	signed = append(signed, tbs...)
	signed = append(signed, 0, 0) // no extensions
	sig := sign(tb, log, signed)
	return append(binary.BigEndian.AppendUint16([]byte{4, 3}, uint16(len(sig))), sig...) //nolint:gosec // SHA-256 with ECDSA, short
}

func milli(t time.Time) uint64 { return uint64(t.UnixMilli()) }

// servePreChain is a certificate transparency log that logs whatever it is shown.
func (l *Lab) servePreChain(_ *http.Request, body []byte, _ http.Header) ([]byte, error) {
	var in struct {
		Chain [][]byte `json:"chain"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	if len(in.Chain) < 2 {
		return nil, errors.New("no chain")
	}
	cert, err := x509.ParseCertificate(in.Chain[0])
	if err != nil {
		return nil, err
	}
	issuer, err := x509.ParseCertificate(in.Chain[1])
	if err != nil {
		return nil, err
	}
	tbs, err := ctx509.RemoveCTPoison(cert.RawTBSCertificate)
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(logID(l.TB, l.CT))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return json.Marshal(map[string]any{
		"sct_version": 0, "id": id, "timestamp": milli(now), "extensions": "", "signature": signSCT(l.TB, tbs, issuer, l.CT, now),
	})
}
