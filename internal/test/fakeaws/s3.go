package fakeaws

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// S3 keeps objects: GetObject, PutObject and ListObjectsV2, path style. It lets a
// caller do what the policies of its session allow, as [STS] knows it.
type S3 struct {
	Objects map[string]string // by "bucket/key"
	sts     *STS
}

// NewS3 returns the service without objects.
func NewS3(sts *STS) *S3 { return &S3{make(map[string]string), sts} }

var _ Router = (*S3)(nil)

// SigningName implements [Service].
func (*S3) SigningName() string { return "s3" }

// Target implements [Service].
func (*S3) Target() string { return "" }

// Anonymous implements [Router].
func (*S3) Anonymous(string) bool { return false }

// Route implements [Router].
func (*S3) Route(r *http.Request, _ []byte) (string, bool) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request"):
	case bucket != "" && key != "" && r.Method == http.MethodGet:
		return "GetObject", true
	case bucket != "" && key != "" && r.Method == http.MethodPut:
		return "PutObject", true
	case bucket != "" && key == "" && r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
		return "ListObjectsV2", true
	}
	return "", false
}

// restCodes are the names that S3 has for errors of all services.
var restCodes = map[string]string{
	"ExpiredTokenException": "ExpiredToken", "UnrecognizedClientException": "InvalidAccessKeyId", "InvalidSignatureException": "SignatureDoesNotMatch",
	"ThrottlingException": "SlowDown",
}

// WriteError implements [Router].
func (*S3) WriteError(w http.ResponseWriter, e *Error) {
	status, code := e.Status, e.Code
	if restCodes[code] != "" {
		code = restCodes[code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	text, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
		Message string   `xml:"Message"`
	}{Code: code, Message: e.Message})
	if err != nil {
		text = []byte("<Error/>")
	}
	write(w, status, "application/xml", text)
}

// Serve implements [Service].
func (s *S3) Serve(r *Request) (any, error) {
	path := strings.TrimPrefix(r.Path, "/")
	bucket, _, _ := strings.Cut(path, "/")
	action, resource := "s3:"+r.Operation, "arn:aws:s3:::"+path
	if r.Operation == "ListObjectsV2" {
		action, resource = "s3:ListBucket", "arn:aws:s3:::"+bucket
	}
	if !s.sts.allowed(r.Keys, action, resource) {
		return nil, &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Access Denied"}
	}
	switch r.Operation {
	case "PutObject":
		s.Objects[path] = string(r.Body)
		return Raw{"application/xml", nil}, nil
	case "GetObject":
		content, ok := s.Objects[path]
		if !ok {
			return nil, &Error{Status: http.StatusNotFound, Code: "NoSuchKey", Message: "The specified key does not exist."}
		}
		return Raw{"application/octet-stream", []byte(content)}, nil
	}
	type entry struct {
		Key string `xml:"Key"`
	}
	var found []entry
	for name := range s.Objects {
		if key, ok := strings.CutPrefix(name, bucket+"/"); ok && strings.HasPrefix(key, r.Query.Get("prefix")) {
			found = append(found, entry{key})
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return strings.Compare(a.Key, b.Key) })
	text, err := xml.Marshal(struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []entry  `xml:"Contents"`
	}{Contents: found})
	return Raw{"application/xml", text}, err
}
