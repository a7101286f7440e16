package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxMetaDepth bounds the nesting of _meta; a map can contain itself.
const maxMetaDepth = 64

// object frames a map in the order of its names.
func (f *framer) object(m map[string]any, depth int) {
	f.length(len(m))
	if len(m) == 0 || f.err != nil {
		return
	}
	var few [16]string // most have no more: sorted on the stack
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f.text(name)
		f.value(m[name], depth+1)
	}
}

// value frames what encoding/json makes of JSON without encoding it again.
func (f *framer) value(v any, depth int) {
	if depth > maxMetaDepth {
		f.err = errors.New("_meta is nested too deep")
	}
	if f.err != nil {
		return
	}
	switch v := v.(type) {
	case nil:
		f.tag('n')
	case bool:
		f.tag('b')
		f.truth(v)
	case string:
		f.tag('s')
		f.text(v)
	case float64:
		f.tag('f')
		f.number(math.Float64bits(v))
	case map[string]any:
		if v == nil { // null, and not {}
			f.tag('n')
			return
		}
		f.tag('o')
		f.object(v, depth)
	case []any:
		if v == nil {
			f.tag('n')
			return
		}
		f.tag('a')
		f.length(len(v))
		for _, item := range v {
			f.value(item, depth+1)
		}
	default:
		f.tag('j')
		f.encoded(v)
	}
}

// encoded frames the JSON of v. A panic in a marshaller counts as an error.
func (f *framer) encoded(v any) {
	raw, err := marshal(v)
	if err != nil {
		f.err = err
		return
	}
	f.bytes(raw)
}

func marshal(v any) (raw []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encoding a %T panicked", v)
		}
	}()
	return json.Marshal(v)
}
