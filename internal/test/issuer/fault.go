package issuer

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/url"
)

// A Fault answers in the place of the issuer.
type Fault = http.HandlerFunc

// quiet keeps what clients of a faulty server provoke out of the test's output.
var quiet = log.New(io.Discard, "", 0)

// Status answers with a status and nothing else.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Hang answers nothing until the client leaves.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Body answers with a body.
func Body(text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text) // the client has left
	}
}

// Endless answers with JSON that has no end.
func Endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, `{"keys":[`)
	for chunk := bytes.Repeat([]byte(`{"kty":"x"},`), 1024); err == nil && r.Context().Err() == nil; {
		_, err = w.Write(chunk)
	}
}

// Redirect sends the client elsewhere.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// formEncode is how RFC 6749, section 2.3.1, wants the parts of HTTP Basic.
func formEncode(s string) string { return url.QueryEscape(s) }
