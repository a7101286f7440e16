package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// PAE returns the pre-authentication encoding of DSSE version 1, which is what is
// signed: type and payload, each with its length, so that one cannot run into the other.
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+64)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// lines splits a file into its bundles: one JSON value, however it is laid out, or one
// on each line.
func lines(file []byte) ([][]byte, error) {
	if len(file) > MaxFile {
		return nil, fmt.Errorf("%w: the file has %d bytes, the limit is %d", ErrBundle, len(file), MaxFile)
	}
	if json.Valid(file) {
		return [][]byte{file}, nil
	}
	list := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	if len(list) > MaxBundles {
		return nil, fmt.Errorf("%w: the file has %d lines, the limit is %d bundles", ErrBundle, len(list), MaxBundles)
	}
	return list, nil
}

// Join puts bundles of one payload into a file, one on each line, for a [Threshold].
func Join(bundles ...[]byte) ([]byte, error) {
	if len(bundles) == 0 || len(bundles) > MaxBundles {
		return nil, fmt.Errorf("%w: %d bundles, not 1 to %d", ErrBundle, len(bundles), MaxBundles)
	}
	var file bytes.Buffer
	for _, b := range bundles {
		if err := json.Compact(&file, b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		file.WriteByte('\n')
	}
	if _, _, err := parseFile(file.Bytes()); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// parseFile returns the bundles of a file, and what they all say.
func parseFile(file []byte) (bundles [][]byte, said *Bundle, err error) {
	bundles, err = lines(file)
	if err != nil {
		return nil, nil, err
	}
	for i, line := range bundles {
		b, err := Parse(line)
		if err != nil {
			return nil, nil, fmt.Errorf("bundle %d of %d: %w", i+1, len(bundles), err)
		}
		if said == nil {
			said = b
		}
		if b.PayloadType != said.PayloadType || !bytes.Equal(b.Payload, said.Payload) {
			return nil, nil, fmt.Errorf("%w: bundle %d of %d signs another payload than the first", ErrBundle, i+1, len(bundles))
		}
	}
	return bundles, said, nil
}
