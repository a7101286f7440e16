package lock

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// events is a stream of server-sent events in which the data of each was judged.
type events struct {
	body io.ReadCloser
	in   *bufio.Reader
	out  bytes.Buffer
	err  error // of the end, once everything before it was read
	pass func(data []byte) ([]byte, error)
	most int // bytes of an event

	// ended is called at the end of a stream that cannot be resumed, as no event had an id.
	ended     func()
	resumable bool
}

func newEvents(body io.ReadCloser, pass func([]byte) ([]byte, error), ended func()) *events {
	return &events{body: body, in: bufio.NewReader(body), pass: pass, most: maxMessage, ended: ended}
}

// Read implements [io.Reader].
func (e *events) Read(p []byte) (int, error) {
	for e.out.Len() == 0 {
		if e.err != nil {
			return 0, e.err
		}
		if e.err = e.event(); e.err != nil && !e.resumable {
			e.ended()
		}
	}
	return e.out.Read(p)
}

// Close implements [io.Closer]. It may run while Read does.
func (e *events) Close() error { return e.body.Close() }

// event reads one event, up to an empty line, and writes the one that replaces it.
// An event that the end of the stream cuts off is dropped, as the standard says.
func (e *events) event() error {
	var (
		data           []byte
		hasData        bool
		name, id, wait string
	)
	for size := 0; ; {
		line, err := e.line(e.most - size)
		if err != nil {
			return err
		}
		size += len(line) + 1
		if line == "" {
			break
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			if hasData {
				data = append(data, '\n')
			}
			data, hasData = append(data, value...), true
		case "event":
			name = value
		case "id":
			id = value
		case "retry":
			wait = value
		}
	}
	// A line may not end for one reader where it does not for another.
	if id = strings.TrimSpace(id); id != "" && !strings.ContainsAny(id, "\r\x00") {
		e.resumable = true
		fmt.Fprintf(&e.out, "id: %s\n", id)
	}
	if ms, err := strconv.ParseUint(wait, 10, 31); err == nil {
		fmt.Fprintf(&e.out, "retry: %d\n", ms)
	}
	// Events of another name carry no messages.
	if len(data) > 0 && (name == "" || name == "message") {
		passed, err := e.pass(data)
		if err != nil || bytes.ContainsAny(passed, "\r\n") {
			// No message: the SDK reads that as well and ends the connection.
			passed = []byte("malformed")
		}
		fmt.Fprintf(&e.out, "event: message\ndata: %s\n", passed)
	}
	if e.out.Len() > 0 {
		e.out.WriteByte('\n')
	}
	return nil
}

// line reads a line of at most limit bytes, without its end.
func (e *events) line(limit int) (string, error) {
	var line []byte
	for {
		part, err := e.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return "", fmt.Errorf("an event of more than %d bytes", e.most)
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}
