package github

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	keptAnswers   = 4096     // of an installation
	largestAnswer = 64 << 10 // bytes, deflated; what is larger is read again
)

// etags keeps answers for conditional requests: one that has not changed
// costs nothing of the hourly limit.
// https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
type etags struct {
	kept *lru.Cache[string, *answer]
}

type answer struct {
	tag     string
	header  http.Header
	deflate []byte // the body: of lists a tenth is left
}

func deflated(body []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		panic(err) // only an unknown level is refused
	}
	_, _ = w.Write(body) // to memory
	_ = w.Close()
	return b.Bytes()
}

func newETags() *etags {
	kept, err := lru.New[string, *answer](keptAnswers)
	if err != nil {
		panic(err) // only a size below 1 is refused
	}
	return &etags{kept: kept}
}

func (e *etags) purge() { e.kept.Purge() }

// roundTrip sends the request, as a question for changes where the answer is
// known. What one set of permissions may read, another may not: scope keeps
// them apart.
func (e *etags) roundTrip(next http.RoundTripper, scope string, req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return next.RoundTrip(req)
	}
	key := strings.Join([]string{scope, req.Header.Get("Accept"), req.URL.String()}, "\n")
	known, ok := e.kept.Get(key)
	if ok {
		req.Header.Set("If-None-Match", known.tag)
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && ok:
		body, err := io.ReadAll(flate.NewReader(bytes.NewReader(known.deflate)))
		if err != nil {
			return nil, fmt.Errorf("a kept answer of GitHub's: %w", err)
		}
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		resp.Header = known.header.Clone()
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	case resp.StatusCode == http.StatusOK && resp.Header.Get("ETag") != "":
		if body := deflated(bodyOf(resp)); len(body) <= largestAnswer {
			e.kept.Add(key, &answer{tag: resp.Header.Get("ETag"), header: resp.Header.Clone(), deflate: body})
		}
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnauthorized:
		e.kept.Remove(key)
	}
	return resp, nil
}
