package githubtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// Proxy stands in front of another server that says it is GitHub, and collects
// what of the requests to it and of its answers does not fit. The paths may
// begin with /api/v3; the server gets them without.
func (v *Validator) Proxy(target *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(res *http.Response) error {
			body, err := io.ReadAll(res.Body)
			if err != nil {
				return err
			}
			res.Body = io.NopCloser(bytes.NewReader(body))
			if e, ok := res.Request.Context().Value(exchangeKey{}).(*Exchange); ok {
				e.Status, e.Header, e.Body = res.StatusCode, res.Header, body
				v.Check(e)
			}
			return nil
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.URL.Path, r.URL.RawPath = strings.TrimPrefix(r.URL.Path, "/api/v3"), strings.TrimPrefix(r.URL.RawPath, "/api/v3")
		r.Header.Del("Accept-Encoding") // or the answer would be compressed here
		u := *r.URL
		e := &Exchange{Method: r.Method, URL: &u, RequestHeader: r.Header.Clone(), RequestBody: body}
		proxy.ServeHTTP(w, r.WithContext(withExchange(r.Context(), e)))
	})
}

// exchangeKey carries the request to where its answer is.
type exchangeKey struct{}

func withExchange(ctx context.Context, e *Exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}
