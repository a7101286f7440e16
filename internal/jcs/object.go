package jcs

import "slices"

func (w *writer) object(depth int) error {
	w.pos++
	w.dst = append(w.dst, '{')
	start := len(w.members)
	w.space()
	if w.next() != '}' {
		for {
			if err := w.member(depth); err != nil {
				return err
			}
			w.space()
			if w.next() != ',' {
				break
			}
			w.pos++
			w.space()
		}
	}
	if w.next() != '}' {
		return w.fail("unfinished object")
	}
	if !w.sort(w.members[start:]) {
		return w.fail("duplicate member name in the object that ends")
	}
	w.members = w.members[:start]
	w.pos++
	w.dst = append(w.dst, '}')
	return nil
}

// member writes one member, after a comma if it is not the object's first.
func (w *writer) member(depth int) error {
	if w.next() != '"' {
		return w.fail("no member name")
	}
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	from := len(w.dst)
	name, err := w.str(&w.names)
	if err != nil {
		return err
	}
	w.space()
	if w.next() != ':' {
		return w.fail("no colon")
	}
	w.pos++
	w.space()
	w.dst = append(w.dst, ':')
	i := len(w.members)
	w.members = append(w.members, member{name: name, from: from})
	if err := w.value(depth); err != nil {
		return err
	}
	w.members[i].to = len(w.dst)
	return nil
}

// sort puts the members of one object in order, in dst too, and reports whether
// their names differ.
func (w *writer) sort(members []member) bool {
	sorted := true
	for i := 1; i < len(members) && sorted; i++ {
		sorted = compareUTF16(members[i-1].name, members[i].name) < 0
	}
	if sorted {
		return true
	}
	from, to := members[0].from, members[len(members)-1].to
	w.moved = append(w.moved[:0], w.dst[from:to]...)
	slices.SortFunc(members, func(a, b member) int { return compareUTF16(a.name, b.name) })
	w.dst = w.dst[:from]
	for i := range members {
		m := &members[i]
		if i > 0 {
			if compareUTF16(members[i-1].name, m.name) == 0 {
				return false
			}
			w.dst = append(w.dst, ',')
		}
		w.dst = append(w.dst, w.moved[m.from-from:m.to-from]...)
	}
	return true
}

// compareUTF16 orders UTF-8 texts by their UTF-16 code units. That differs from the
// order of their bytes for two kinds of lead byte only: those of U+E000 to U+FFFF (EE
// and EF) come after those of the surrogate pairs (F0 to F4).
func compareUTF16(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
				x, y = y, x
			}
			if x < y {
				return -1
			}
			return 1
		}
	}
	return len(a) - len(b)
}
