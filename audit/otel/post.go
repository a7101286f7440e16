package otel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	maxAnswer = 64 << 10        // bytes of a receiver's answer
	maxRest   = 5 * time.Minute // the longest that a receiver can ask us to wait
	mediaType = "application/x-protobuf"
	userAgent = "mcpsec-audit-otel"
)

// A refusedError says that a receiver will never take a request as it is.
type refusedError struct{ status int }

func (e refusedError) Error() string { return "HTTP status " + strconv.Itoa(e.status) }

// post sends one request, and again after the pause that the receiver asks for as
// long as the context allows. It returns how many items the receiver rejected.
func (d *Destination) post(ctx context.Context, path string, message proto.Message) (rejected uint64, err error) {
	body, err := d.encode(message)
	if err != nil {
		return 0, err
	}
	for {
		if err := d.rest(ctx); err != nil {
			return 0, err
		}
		rejected, pause, err := d.once(ctx, path, body)
		if err == nil || pause == 0 {
			return rejected, err
		}
		d.resume = time.Now().Add(min(pause, maxRest))
	}
}

// rest waits for the time from which on the receiver wants to be asked again.
func (d *Destination) rest(ctx context.Context) error {
	pause := time.Until(d.resume)
	if pause <= 0 {
		return ctx.Err()
	}
	if end, ok := ctx.Deadline(); ok && !end.After(d.resume) {
		return fmt.Errorf("the receiver asked to wait another %v", pause.Round(time.Second))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// encode returns the compressed message.
func (d *Destination) encode(message proto.Message) ([]byte, error) {
	plain, err := proto.MarshalOptions{}.MarshalAppend(d.plain[:0], message)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	d.plain = plain
	var packed bytes.Buffer
	d.zip.Reset(&packed)
	_, err = d.zip.Write(plain)
	if err := errors.Join(err, d.zip.Close()); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return packed.Bytes(), nil
}

// once sends one request. A positive pause says that the receiver asked for it.
func (d *Destination) once(ctx context.Context, path string, body []byte) (rejected uint64, pause time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	if d.header != nil {
		header, err := d.header(ctx)
		if err != nil {
			return 0, 0, fmt.Errorf("Config.Header: %w", err)
		}
		for key, values := range header {
			for _, v := range values {
				req.Header.Add(key, v)
			}
		}
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", userAgent)
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, 0, err // it names the address
	}
	defer func() { _ = resp.Body.Close() }() // what matters of it has been read
	rejected, err = judge(resp)
	if err == nil {
		return rejected, 0, nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		pause = retryAfter(resp.Header.Get("Retry-After"))
	}
	return 0, pause, fmt.Errorf("%s: %w", req.URL, err)
}

// judge reads an answer. Its words are not repeated: a receiver may quote what it got.
func judge(resp *http.Response) (rejected uint64, err error) {
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
	case s >= 300 && s < 400:
		return 0, fmt.Errorf("HTTP status %d: redirects are not followed; make Config.Endpoint what this leads to", s)
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return 0, fmt.Errorf("HTTP status %d: see to it that Config.Header or Config.TLS has valid credentials", s)
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed:
		return 0, fmt.Errorf("HTTP status %d: Config.Endpoint has another path, or the receiver does not take this signal: see Config.Signals", s)
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge, s == http.StatusUnprocessableEntity:
		return 0, refusedError{s}
	default:
		return 0, fmt.Errorf("HTTP status %d", s)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("reading the answer: %w", err)
	case len(answer) > maxAnswer:
		return 0, errGarbage
	case len(answer) == 0:
		return 0, nil
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != mediaType {
		return 0, errGarbage
	}
	return rejectedItems(answer)
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3). Without one
// the pause is the caller's affair.
func retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return max(time.Second, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Second, time.Until(at))
	}
	return 0
}
