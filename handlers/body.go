package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	maxRequestBody = 1 << 20 // an uploaded Dockerfile fits
	bodyLimit      = time.Minute
)

// readBody reads a body of at most most bytes: 413 for a larger one, 408 for
// one that dribbles in, so that nobody holds a connection for ever.
func readBody(w http.ResponseWriter, r *http.Request, most int64, within time.Duration) ([]byte, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "the body is larger than %s", size(most))
	if r.ContentLength > most {
		return nil, tooLarge // before 25 MiB of it are read
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(within))
	defer control.SetReadDeadline(time.Time{})
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // it takes this much and no more
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, most))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive within %s", within)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body cannot be read to its end: %v", err)
	}
	return body.Bytes(), nil
}

func size(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// readJSON decodes a body strictly: a key that we do not know would be
// ignored silently, and the person would wait for what it asked.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := readBody(w, r, maxRequestBody, bodyLimit)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "%s", jsonSentence(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "the body goes on after its JSON object")
	}
	return nil
}

// jsonSentence says what is wrong with a body, and where.
func jsonSentence(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "the body is empty; send a JSON object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body's JSON ends before it is complete"
	case errors.As(err, &syntax):
		return fmt.Sprintf("the body is no JSON: %v, at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Sprintf("the body is a JSON %s; it must be an object", kind.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("%q is a JSON %s; it must be %s", kind.Field, kind.Value, jsonKind(kind.Type.Kind().String()))
	}
	return "the body: " + strings.TrimPrefix(err.Error(), "json: ") // unknown field "imge"
}

func jsonKind(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "slice":
		return "a list of strings"
	}
	return "a " + kind
}
