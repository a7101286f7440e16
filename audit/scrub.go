package audit

// scrub blanks what looks like a secret, or is one that the process holds, in every
// text of the event that is not the Logger's own. Codes, digests and names of
// controls stay as they are.
func (l *Logger) scrub(e *Event) {
	if l.redact == nil {
		return
	}
	blank := func(s *string) {
		if *s != "" {
			if clean, found := l.redact.Text(*s); found {
				*s = clean
			}
		}
	}
	for _, s := range [...]*string{
		&e.Method, &e.Name, &e.Session, &e.Client, &e.Reason, &e.Detail,
		&e.Principal.Issuer, &e.Principal.Subject, &e.Principal.Client, &e.Principal.Tenant,
	} {
		blank(s)
	}
	for i := range e.Principal.Actors {
		blank(&e.Principal.Actors[i])
	}
	for i := range e.Arguments.Keys {
		blank(&e.Arguments.Keys[i])
	}
	for i := range e.Findings {
		blank(&e.Findings[i].Reason)
		blank(&e.Findings[i].Detail)
	}
	for i := range e.Credentials {
		c := &e.Credentials[i]
		for _, s := range [...]*string{&c.Name, &c.Provider, &c.Role, &c.KeyID} {
			if clean, found := l.redact.Held(*s); found {
				*s = clean
			}
		}
	}
	for i := range e.Notes {
		blank(&e.Notes[i].Key)
		blank(&e.Notes[i].Value)
	}
}
