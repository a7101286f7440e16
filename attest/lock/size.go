package lock

// least returns how many bytes the file has at least. It is known before the file is
// written: indented, what is small and deep becomes many times as long.
func (f *File) least() (size int) {
	for _, s := range f.Servers {
		size += s.least()
	}
	return size
}

func (s *Server) least() (size int) {
	if s == nil {
		return 0
	}
	for _, k := range kinds {
		for _, d := range *s.list(k) {
			size += indented(d.Text)
		}
	}
	if s.Identity != nil {
		size += indented(s.Identity.Text)
	}
	return size
}

// indented returns the length of a canonical text that is indented, from its own left.
func indented(text []byte) (size int) {
	const step = 2
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		size++
		switch c := text[i]; {
		case quoted && c == '\\':
			size++
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case (c == '{' || c == '[') && i+1 < len(text) && text[i+1] == c+2: // empty
			size++
			i++
		case c == '{' || c == '[':
			depth++
			size += 1 + step*depth
		case c == '}' || c == ']':
			depth--
			size += 1 + step*depth
		case c == ',':
			size += 1 + step*depth
		case c == ':':
			size++
		}
	}
	return size
}
