package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// maxBody is the most bytes of an answer that are read. Manifests, tokens
	// and error texts are all that is asked for; registries take manifests of
	// 4 MiB.
	maxBody = 8 << 20
	// bodyTime is how long an answer may take after its headers.
	bodyTime = time.Minute
)

// guard stands between us and registries that strangers choose. It refuses
// plain HTTP to those that are not listed for it, and redirects into it
// (go-containerregistry alone would fall back to it for every private
// address), and it bounds their answers.
type guard struct {
	next     http.RoundTripper
	allow    map[string]bool
	bodyTime time.Duration
}

// plainError says that a registry was about to be spoken to in plain HTTP.
type plainError struct{ host string }

func (e *plainError) Error() string { return "plain HTTP to " + e.host + " is not allowed" }

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !loopback(r.URL.Hostname()) && !g.allow[r.URL.Host] {
		return nil, &plainError{r.URL.Host}
	}
	ctx, cancel := context.WithCancel(r.Context())
	resp, err := g.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &boundedBody{
		ReadCloser: resp.Body, left: maxBody,
		timer: time.AfterFunc(g.bodyTime, cancel), cancel: cancel, ended: r.Context().Err,
	}
	return resp, nil
}

// errTooLong is the end of an answer that has no end.
var errTooLong = errors.New("the answer has more than 8 MiB")

// boundedBody ends an answer that is too long or takes too long.
type boundedBody struct {
	io.ReadCloser
	left   int64
	timer  *time.Timer
	cancel context.CancelFunc
	ended  func() error // of the request, for reasons of its own
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if errors.Is(err, context.Canceled) && b.ended() == nil {
		err = os.ErrDeadlineExceeded // a net.Error that says Timeout
	}
	return n, err
}

func (b *boundedBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
