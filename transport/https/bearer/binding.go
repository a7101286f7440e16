package bearer

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/dpop"
)

// bound checks that the sender has what the token is bound to.
func (v *Verifier) bound(r *http.Request, g *grant, scheme, token string, certificates []*x509.Certificate) error {
	binding := g.binding
	if binding.Certificate != "" {
		if len(certificates) == 0 || sha256.Sum256(certificates[0].Raw) != g.certificate {
			return v.unauthorized(invalidToken, textInvalid, errors.New("the token is bound to another client certificate"))
		}
	} else if v.config.CertificateBound {
		return v.unauthorized(invalidToken, textUnbound, errors.New("the token is bound to no client certificate"))
	}
	switch {
	case binding.Key == "" && v.config.DPoP.Required:
		return v.unauthorized(invalidToken, textUnbound, errors.New("the token is bound to no key"))
	case binding.Key == "" && scheme == schemeDPoP:
		return v.unauthorized(invalidToken, textInvalid, errors.New("a token that is bound to no key, with the scheme DPoP"))
	case binding.Key == "":
		return nil
	case scheme != schemeDPoP:
		e := v.unauthorized(invalidToken, textInvalid, errors.New("a token that is bound to a key, without proof"))
		e.Scheme = schemeDPoP
		return e
	}
	return v.prove(r, token, binding.Key)
}

func (v *Verifier) prove(r *http.Request, token, thumbprint string) error {
	var err error
	if proofs := r.Header["Dpop"]; len(proofs) != 1 {
		err = fmt.Errorf("%d proofs of possession", len(proofs))
	} else {
		err = v.proofs.Check(proofs[0], dpop.Request{
			Method: r.Method, URL: dpop.Target(r), Token: token, Thumbprint: thumbprint,
		})
	}
	if err == nil {
		return nil
	}
	e := v.unauthorized(invalidProof, textProof, err)
	switch {
	case errors.Is(err, dpop.ErrBusy):
		e = v.unavailable(err)
	case errors.Is(err, dpop.ErrNonce):
		e.Code, e.Description, e.Nonce = wantNonce, textNonce, v.proofs.Nonce()
	}
	e.Scheme = schemeDPoP
	return e
}
