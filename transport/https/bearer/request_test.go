package bearer

import (
	"net/http"
	"strings"
	"testing"
)

func TestTokensComeInOneHeaderOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, nil)
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		code   string
	}{
		{"nothing", func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized, ""},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") }, http.StatusUnauthorized, ""},
		{"a scheme that begins like ours", func(r *http.Request) { r.Header.Set("Authorization", "Bearerx "+token) }, http.StatusUnauthorized, ""},
		{"a form", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = http.NoBody
			r.PostForm = map[string][]string{"access_token": {token}}
		}, http.StatusUnauthorized, ""},
		{"a cookie", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.AddCookie(&http.Cookie{Name: "access_token", Value: token})
		}, http.StatusUnauthorized, ""},
		{"the proxy's header", func(r *http.Request) {
			r.Header["Proxy-Authorization"] = r.Header["Authorization"]
			r.Header.Del("Authorization")
		}, http.StatusUnauthorized, ""},
		{"the query string", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "access_token=" + token
		}, http.StatusBadRequest, invalidRequest},
		{"query string and header", func(r *http.Request) { r.URL.RawQuery = "a=b&access_token=" + token }, http.StatusBadRequest, invalidRequest},
		{"query string, escaped", func(r *http.Request) { r.URL.RawQuery = "access%5Ftoken=" + token }, http.StatusBadRequest, invalidRequest},
		{"query string in capitals", func(r *http.Request) { r.URL.RawQuery = "ACCESS_TOKEN=" + token }, http.StatusBadRequest, invalidRequest},
		{"query string after a semicolon", func(r *http.Request) { r.URL.RawQuery = "a=b;access_token=" + token }, http.StatusBadRequest, invalidRequest},
		{"two headers", func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) }, http.StatusBadRequest, invalidRequest},
		{"two in one header", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token+", Bearer "+token)
		}, http.StatusBadRequest, invalidRequest},
		{"no token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, http.StatusBadRequest, invalidRequest},
		{"only the scheme", func(r *http.Request) { r.Header.Set("Authorization", "Bearer") }, http.StatusBadRequest, invalidRequest},
		{"a tab", func(r *http.Request) { r.Header.Set("Authorization", "Bearer\t"+token) }, http.StatusUnauthorized, ""},
		{"a quote", func(r *http.Request) { r.Header.Set("Authorization", `Bearer "`+token+`"`) }, http.StatusBadRequest, invalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := request(t, "Bearer", token)
			test.change(req)
			_, err := r.Authenticate(req, nil)
			text := textRequest
			if test.status == http.StatusUnauthorized {
				text = textNone
			}
			refusal(t, err, test.status, test.code, text)
		})
	}
}

func TestSchemeInAnyCase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, nil)
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR ", "Bearer   "} {
		if _, err := r.Authenticate(request(t, scheme, token), nil); err != nil {
			t.Errorf("%q: %v", scheme, explain(err))
		}
	}
}

func TestQueriesWithoutTokenPass(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "a=b", "session=access_token", "my_access_token=x", "access_token_type=x", "%zz=1", strings.Repeat("&", 1000)} {
		if queryHasToken(query) {
			t.Errorf("%q has a token", query)
		}
	}
}
