package mcpsec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// ErrBatch is wrapped by the error of [ReadMessage] about a JSON-RPC batch.
var ErrBatch = errors.New("batches are not accepted")

// A Message is one JSON-RPC 2.0 message that every reader reads alike.
type Message struct {
	// Method is empty for an answer.
	Method string
	// ID is not valid for a notification.
	ID jsonrpc.ID

	params span
	canon  []byte
}

// IsCall reports whether the message is a request that wants an answer.
func (m *Message) IsCall() bool { return m.Method != "" && m.ID.IsValid() }

// IsAnswer reports whether the message is the answer to a request.
func (m *Message) IsAnswer() bool { return m.Method == "" }

// Bytes returns the canonical encoding: the members in the order jsonrpc, id, method,
// params, result, error, and no white space outside strings. Read only.
func (m *Message) Bytes() []byte { return m.canon }

// Params returns the parameters, an object, within Bytes; nil without any. Read only.
func (m *Message) Params() json.RawMessage {
	if m.params.empty() {
		return nil
	}
	return json.RawMessage(m.params.of(m.canon))
}

// Body returns the canonical encoding as the body of a request. [Guard.Handler] knows it
// and does not read the message a second time.
func (m *Message) Body() io.ReadCloser {
	return &messageBody{bytes.NewReader(m.canon), m}
}

type messageBody struct {
	*bytes.Reader
	message *Message
}

func (*messageBody) Close() error { return nil }

// span is where a value lies.
type span struct{ from, to int }

func (s span) of(data []byte) []byte { return data[s.from:s.to] }
func (s span) empty() bool           { return s.to == s.from }

// A part is where a member's value lies, and whether there is white space in it.
type part struct {
	span

	spaced bool
}

// The members of a message, in canonical order.
const (
	memberVersion = iota
	memberID
	memberMethod
	memberParams
	memberResult
	memberError
	memberCount
)

var memberOf = map[string]int{
	"jsonrpc": memberVersion, "id": memberID, "method": memberMethod,
	"params": memberParams, "result": memberResult, "error": memberError,
}

// maxMethod bounds the name of a method and the id of a request, in bytes.
const maxMethod = 256

// ReadMessage reads data as exactly one JSON-RPC 2.0 message, under the rules of
// [CheckJSON] and these: no members but those of JSON-RPC, under exactly their names; an
// id that is a string or an integer of 64 bits, never null; parameters that are an object
// or, as null, absent; an answer with either result or error, and with an id. It is the
// one reader of both transports: the canonical bytes go to the SDK, so that it cannot
// read another message than the one that was judged. Errors wrap [ErrJSON] or [ErrBatch]
// and hold nothing of the message.
func ReadMessage(data []byte) (*Message, error) {
	s := jsonScanner{data: data}
	s.space()
	if s.next() == '[' {
		return nil, ErrBatch
	}
	at, err := s.envelope()
	if err != nil {
		return nil, err
	}
	s.space()
	if s.pos != len(data) {
		return nil, s.fail("data after the message")
	}
	m := &Message{}
	if err := m.judge(data, &at); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	m.encode(data, &at)
	return m, nil
}

// envelope reads the object of a message and finds its members.
func (s *jsonScanner) envelope() (at [memberCount]part, err error) {
	if s.next() != '{' {
		return at, s.fail("no JSON object")
	}
	s.pos++
	s.space()
	if s.next() == '}' {
		return at, s.fail("an empty message")
	}
	for {
		s.space()
		if s.next() != '"' {
			return at, s.fail("no member name")
		}
		name, err := s.str()
		if err != nil {
			return at, err
		}
		i, known := memberOf[string(name)]
		switch {
		case !known:
			return at, s.fail("a member that JSON-RPC does not have")
		case !at[i].empty():
			return at, s.fail("duplicate member name")
		}
		s.space()
		if s.next() != ':' {
			return at, s.fail("no colon")
		}
		s.pos++
		s.space()
		from, spaces := s.pos, s.spaces
		if err := s.value(1); err != nil {
			return at, err
		}
		at[i] = part{span{from, s.pos}, s.spaces > spaces}
		s.space()
		switch s.next() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return at, nil
		default:
			return at, s.fail("unfinished object")
		}
	}
}

// judge checks what the members of a message hold.
func (m *Message) judge(data []byte, at *[memberCount]part) error {
	if string(at[memberVersion].of(data)) != `"2.0"` {
		return errors.New(`the member jsonrpc is not "2.0"`)
	}
	if id := at[memberID].of(data); len(id) > 0 {
		var err error
		if m.ID, err = readID(id); err != nil {
			return err
		}
	}
	if string(at[memberParams].of(data)) == "null" {
		at[memberParams] = part{}
	}
	if params := at[memberParams].of(data); len(params) > 0 && params[0] != '{' {
		return errors.New("the parameters are no object")
	}
	if at[memberMethod].empty() {
		return m.judgeAnswer(data, at)
	}
	if !at[memberResult].empty() || !at[memberError].empty() {
		return errors.New("a request with a result or an error")
	}
	method, err := shortString(at[memberMethod].of(data))
	if err != nil || method == "" {
		return errors.New("the method is no string of 1 to 256 bytes")
	}
	m.Method = method
	return nil
}

func (m *Message) judgeAnswer(data []byte, at *[memberCount]part) error {
	fault := at[memberError].of(data)
	switch {
	case !m.ID.IsValid():
		return errors.New("neither a method nor an id")
	case at[memberResult].empty() == at[memberError].empty():
		return errors.New("an answer has either a result or an error")
	case !at[memberParams].empty():
		return errors.New("an answer with parameters")
	case len(fault) > 0 && fault[0] != '{':
		return errors.New("the error is no object")
	}
	return nil
}

// readID reads the id of a request.
func readID(raw []byte) (jsonrpc.ID, error) {
	bad := errors.New("the id is neither an integer nor a string of at most 256 bytes")
	if raw[0] == '"' {
		text, err := shortString(raw)
		if err != nil {
			return jsonrpc.ID{}, bad
		}
		return jsonrpc.MakeID(text)
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || string(raw) == "-0" {
		return jsonrpc.ID{}, bad
	}
	// The SDK reads a number as a float first, which holds integers up to 2^53.
	if f := float64(n); int64(f) != n || n > 1<<53 || n < -1<<53 {
		return jsonrpc.ID{}, bad
	}
	return jsonrpc.MakeID(float64(n))
}

func shortString(raw []byte) (string, error) {
	if len(raw) > 6*maxMethod || raw[0] != '"' {
		return "", ErrJSON
	}
	text := string(raw[1 : len(raw)-1]) // the scanner has read it
	if strings.IndexByte(text, '\\') >= 0 {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", err
		}
	}
	if len(text) > maxMethod {
		return "", ErrJSON
	}
	return text, nil
}

var memberHeads = [memberCount]string{`"jsonrpc":`, `,"id":`, `,"method":`, `,"params":`, `,"result":`, `,"error":`}

// encode writes the canonical form.
func (m *Message) encode(data []byte, at *[memberCount]part) {
	out := append(make([]byte, 0, len(data)), '{')
	for i, value := range at {
		if value.empty() {
			continue
		}
		out = append(out, memberHeads[i]...)
		from := len(out)
		if value.spaced {
			out = appendCompact(out, value.of(data))
		} else {
			out = append(out, value.of(data)...)
		}
		if i == memberParams {
			m.params = span{from, len(out)}
		}
	}
	out = append(out, '}')
	m.canon = out
}

// appendCompact appends a well-formed value without the white space between its tokens.
// Like json.Compact, which is five times slower here because it checks once more.
func appendCompact(out, value []byte) []byte {
	for i := 0; i < len(value); {
		from := i
		switch value[i] {
		case ' ', '\t', '\n', '\r':
			i++
			continue
		case '"':
			i = endOfString(value, i)
		default:
			i++
		}
		out = append(out, value[from:i]...)
	}
	return out
}

// endOfString returns where a well-formed string that begins at i ends.
func endOfString(value []byte, i int) int {
	for i++; ; i++ {
		for plain[value[i]] {
			i++
		}
		switch value[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}
