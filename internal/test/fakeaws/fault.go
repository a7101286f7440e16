package fakeaws

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
)

// A Fault is a way in which one request fails. The handler is what would serve it
// well.
type Fault func(s *Server, next http.Handler) http.Handler

type partialKey struct{}

// Partial refuses, in an answer of 200, the entries of a request for which code is
// not empty.
func Partial(code func(i int) string) Fault {
	return func(_ *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), partialKey{}, code)))
		})
	}
}

// Refuse answers with an error instead of serving the request.
func Refuse(status int, code, message string) Fault {
	return func(*Server, http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			writeError(w, r, &Error{Status: status, Code: code, Message: message})
		})
	}
}

// Throttle refuses as the services do when there are too many requests.
func Throttle() Fault {
	return Refuse(http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
}

// Unavailable refuses as the services do when they are overloaded.
func Unavailable() Fault {
	return Refuse(http.StatusServiceUnavailable, "ServiceUnavailableException", "Slow down.")
}

// Internal fails as the services do when they fail.
func Internal() Fault {
	return Refuse(http.StatusInternalServerError, "InternalFailure", "Internal failure")
}

// Answer gives the answer of another program, such as a proxy.
func Answer(status int, contentType, body string) Fault {
	return func(*Server, http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Del(requestID)
			write(w, status, contentType, []byte(body))
		})
	}
}

// Hang takes the request, calls arrived, and never answers. It ends when the client
// goes away, or with the test.
func Hang(arrived func()) Fault {
	return func(s *Server, _ http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // until then nobody listens for the client
			arrived()
			select {
			case <-r.Context().Done():
			case <-s.done:
			}
		})
	}
}

// Lose serves the request, and cuts the connection instead of answering.
func Lose() Fault {
	return func(_ *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	}
}

// Truncate serves the request, and sends half of the answer's body. With announced
// the headers promise the whole of it, else they hide the loss.
func Truncate(announced bool) Fault {
	return func(_ *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			body := whole.Body.Bytes()
			half := body[:len(body)/2]
			if !announced {
				write(w, whole.Code, whole.Header().Get("Content-Type"), half)
				return
			}
			w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(whole.Code)
			_, _ = w.Write(half)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
}

// Say gives an answer of the service's own, whatever the request was.
func Say(body string) Fault {
	return func(*Server, http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, http.StatusOK, "application/x-amz-json-1.1", []byte(body))
		})
	}
}
