//go:build !unix

package stdio

import "errors"

const nonblocking = 0

func ownedByRoot(string) (string, error) {
	return "", errors.Join(errors.New("whose a program is cannot be said here: use stdio.Program"), errors.ErrUnsupported)
}
