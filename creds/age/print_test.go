package age

import (
	"fmt"
	"strings"
	"testing"
)

// fmt follows a pointer it has no verb for, also out of an unexported field.
func TestRecipientDoesNotPrintThePassphrase(t *testing.T) {
	t.Parallel()
	r := WithPassphrase(value("hunter2"))
	for _, v := range []any{r, &r, []Recipient{r}, struct{ r Recipient }{r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			out := fmt.Sprintf(verb, v)
			for _, form := range []string{"hunter2", "104 117 110 116", "68756e746572", "68756E746572", "0x68, 0x75", "68 75 6e"} {
				if strings.Contains(out, form) {
					t.Errorf("%s of a %T: %s", verb, v, out)
				}
			}
		}
	}
}
