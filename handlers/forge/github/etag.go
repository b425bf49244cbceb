package github

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	keptAnswers   = 1024
	largestAnswer = 64 << 10 // bytes; what is larger is read again
)

// etags keeps answers for conditional requests: one that has not changed
// costs nothing of the hourly limit.
// https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
type etags struct {
	kept *lru.Cache[string, *answer]
}

type answer struct {
	tag    string
	header http.Header
	body   []byte
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
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		resp.Header = known.header.Clone()
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(known.body)), int64(len(known.body))
	case resp.StatusCode == http.StatusOK && resp.Header.Get("ETag") != "":
		if body := bodyOf(resp); len(body) <= largestAnswer {
			e.kept.Add(key, &answer{tag: resp.Header.Get("ETag"), header: resp.Header.Clone(), body: body})
		}
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnauthorized:
		e.kept.Remove(key)
	}
	return resp, nil
}
