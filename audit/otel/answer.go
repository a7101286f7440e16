package otel

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

var errGarbage = errors.New("its answer is no export response: is this an OTLP receiver?")

// rejectedItems reads how many items an Export…ServiceResponse says were not taken.
// The three of them have the same encoding: field 1 holds the partial success, whose
// field 1 holds the number. Its message is passed over; receivers quote content in it.
func rejectedItems(response []byte) (uint64, error) {
	var rejected uint64
	err := fields(response, func(n protowire.Number, t protowire.Type, b []byte) error {
		if n != 1 {
			return nil
		}
		if t != protowire.BytesType {
			return errGarbage
		}
		partial, _ := protowire.ConsumeBytes(b)
		return fields(partial, func(n protowire.Number, t protowire.Type, b []byte) error {
			if n != 1 {
				return nil
			}
			if t != protowire.VarintType {
				return errGarbage
			}
			rejected, _ = protowire.ConsumeVarint(b)
			if int64(rejected) < 0 { //nolint:gosec // that is how a negative int64 is encoded
				return errGarbage
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	return rejected, nil
}

// fields calls f with the value of each field of a message, still encoded.
func fields(message []byte, f func(protowire.Number, protowire.Type, []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errGarbage
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return errGarbage
		}
		if err := f(number, kind, message[:size]); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}
