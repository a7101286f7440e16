package fakeaws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// An Error is a refusal as the services of AWS write it.
type Error struct {
	Status  int // of HTTP; zero is 400
	Code    string
	Message string
}

// Errorf returns an error of status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// writeError has the code where the API has it: in the body of the JSON protocol, in
// a header of the REST one, or where the service says.
func writeError(w http.ResponseWriter, r *http.Request, e *Error) {
	if router, ok := r.Context().Value(routerKey{}).(Router); ok {
		router.WriteError(w, e)
		return
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	said := map[string]string{"message": e.Message}
	if r.Header.Get("X-Amz-Target") != "" {
		said["__type"] = "com.amazonaws.fake#" + e.Code
	} else {
		w.Header().Set("X-Amzn-Errortype", e.Code+":http://internal.amazon.example/")
	}
	text, err := json.Marshal(said)
	if err != nil {
		text = []byte("{}")
	}
	write(w, status, "application/x-amz-json-1.1", text)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}
