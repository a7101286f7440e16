package stdio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// DefaultMaxLine bounds a message in bytes, its line end excluded.
const DefaultMaxLine = 4 << 20

var (
	// ErrLine is wrapped by errors about a line that is longer than allowed, or that the
	// end of the stream cut off.
	ErrLine = errors.New("no whole line")
	// ErrMessage is wrapped by errors about a line that is not one JSON-RPC message.
	ErrMessage = errors.New("no message")
)

// lineBuffer is what is read at once. A longer line has memory of its own, which is given
// back with it.
const lineBuffer = 64 << 10

// lines reads what ends in a line feed, in bounded memory.
type lines struct {
	in     *bufio.Reader
	most   int // bytes of a line
	number int // of the last line
}

func newLines(r io.Reader, most int) *lines {
	return &lines{in: bufio.NewReaderSize(r, lineBuffer), most: most}
}

// next returns the next line that is not blank, without its end. It is valid until the
// next call. After an error there are no more lines.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		l.number++
		if len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
	}
}

func (l *lines) line() ([]byte, error) {
	part, err := l.in.ReadSlice('\n')
	if err == nil && len(part)-1 <= l.most {
		return part[:len(part)-1], nil // nearly every line
	}
	var long []byte
	for {
		long = append(long, part...)
		switch {
		case len(bytes.TrimSuffix(long, []byte("\n"))) > l.most:
			return nil, fmt.Errorf("%w: line %d has more than %d bytes", ErrLine, l.number+1, l.most)
		case err == nil:
			return long[:len(long)-1], nil
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(long)) > 0:
			return nil, fmt.Errorf("%w: the stream ended within line %d", ErrLine, l.number+1)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		part, err = l.in.ReadSlice('\n')
	}
}

// readMessage reads a line so that the SDK gets the message that was judged.
func readMessage(line []byte) (jsonrpc.Message, error) {
	m, err := mcpsec.ReadMessage(line)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	msg, err := jsonrpc.DecodeMessage(m.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: the SDK does not take it", ErrMessage) // its text may repeat the message
	}
	return msg, nil
}

// writeMessage writes a message and its line end at once.
func writeMessage(w io.Writer, msg jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(msg)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}
