package gitlab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	// callLimit is how long one call may take with its repetitions, so that it
	// ends before the courier gives up on it.
	callLimit = 25 * time.Second

	dialLimit = 8 * time.Second // so that a call can be tried twice at least
	apiPath   = "/api/v4/"
	userAgent = "registry-build"
)

// connect makes the client that all calls go through: f.api. Its transport
// adds the token, keeps to the server's limits (a builder.Later where there is
// no room) and asks reads again that come too early after an event.
func (f *Forge) connect() error {
	server, err := url.Parse(strings.TrimRight(f.Config.URL, "/") + apiPath)
	if err != nil {
		return fmt.Errorf("GitLab %s: address %s: %w", f.Config.Name, f.Config.URL, err)
	}
	if f.Config.CA != "" { // git, which runs elsewhere, reads it as well
		if f.Config.CA, err = filepath.Abs(f.Config.CA); err != nil {
			return fmt.Errorf("ca: %w", err)
		}
	}
	base := f.HTTP
	if base == nil {
		if base, err = dialer(f.Config); err != nil {
			return err
		}
	}
	f.wire = &wire{
		base: base, server: server, token: f.Config.Token,
		limits: newLimits(f.Now, budgetOf(server)), most: largestRead, first: firstWait,
	}
	f.names = &names{}
	// The token is the wire's alone: a request that is redirected holds none.
	//lint:ignore SA1019 frozen, but sound; its successor can take its place within this package
	f.api, err = gitlab.NewClient("", gitlab.WithBaseURL(f.wire.server.String()),
		gitlab.WithHTTPClient(&http.Client{Transport: f.wire, CheckRedirect: f.wire.redirect}),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(unlimited{}))
	if err != nil {
		return fmt.Errorf("GitLab %s: %w", f.Config.Name, err)
	}
	f.api.UserAgent = userAgent
	return nil
}

// dialer reaches the server by the operator's authorities and proxy.
func dialer(c config.GitLab) (http.RoundTripper, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialLimit, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dialLimit,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   requestsAtOnce,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	if c.Proxy != "" {
		proxy, err := url.Parse(c.Proxy)
		if err != nil {
			return nil, errors.New("the proxy's address cannot be read; write it like http://proxy.example.com:3128")
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	if c.CA != "" {
		roots, err := authorities(c.CA)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = roots
	}
	return t, nil
}

// authorities are the system's and those of the PEM file.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ca: there is no file %s; write the path of a PEM file", file)
	}
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate; it takes them as PEM, -----BEGIN CERTIFICATE-----", file)
	}
	return roots, nil
}

// unlimited switches the client's own limiter off: the wire has ours.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

type contextKey int

const (
	repeatableKey contextKey = iota
	onceKey
)

// repeatable marks writes that do no harm when they are made twice, so that
// they are tried again like reads when the answer is lost.
func repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey, true)
}

// once marks reads whose "not found" is an answer, not a delay.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey, true) }

// with hands a context to a call.
func with(ctx context.Context) gitlab.RequestOptionFunc { return gitlab.WithContext(ctx) }

// get reads a path below /api/v4, which is escaped and relative. The answer's
// page tells whether there are more; nil where there was no answer.
func (f *Forge) get(ctx context.Context, path string, query, into any, options ...gitlab.RequestOptionFunc) (*gitlab.Response, error) {
	req, err := f.api.NewRequest(http.MethodGet, path, query, append(options, with(ctx)))
	if err != nil {
		return nil, err
	}
	return f.api.Do(req, into)
}

// call makes any other call.
func (f *Forge) call(ctx context.Context, method, path string, body, into any) error {
	req, err := f.api.NewRequest(method, path, body, []gitlab.RequestOptionFunc{with(ctx)})
	if err != nil {
		return err
	}
	_, err = f.api.Do(req, into)
	return err
}

// answeredWith returns the HTTP status that GitLab answered a call with, 0 for
// another error.
func answeredWith(err error) int {
	var refused *gitlab.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	if errors.Is(err, gitlab.ErrNotFound) {
		return http.StatusNotFound
	}
	return 0
}

// words are what GitLab said when it refused a call.
func words(err error) string {
	var refused *gitlab.ErrorResponse
	if !errors.As(err, &refused) {
		return ""
	}
	var body struct {
		Message any    `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(refused.Body, &body) != nil {
		return cut(strings.TrimSpace(string(refused.Body)))
	}
	if text, ok := body.Message.(string); ok {
		return text
	}
	if body.Message != nil {
		return strings.TrimSpace(refused.Message)
	}
	return body.Error
}

// notFound turns GitLab's 404 into builder.ErrNotFound.
func notFound(err error) error {
	if answeredWith(err) == http.StatusNotFound {
		return fmt.Errorf("%w: %w", builder.ErrNotFound, err)
	}
	return err
}

// closedToUs turns GitLab's 404 into builder.ErrNotFound, its 403 into
// builder.ErrDenied.
func closedToUs(err error) error {
	if answeredWith(err) == http.StatusForbidden {
		return fmt.Errorf("%w: %w", builder.ErrDenied, err)
	}
	return notFound(err)
}

// projectID reads a project's id. What is none belongs to nobody.
func projectID(repo builder.Repository) (int, error) {
	id, err := strconv.Atoi(repo.ID)
	if err != nil || id <= 0 || repo.ID != strconv.Itoa(id) {
		return 0, fmt.Errorf("%q is no project of GitLab's: %w", repo.ID, builder.ErrNotFound)
	}
	return id, nil
}

// splitPath is a project's path in its namespace, which may be nested.
func splitPath(fullPath string) (namespace, name string) {
	at := strings.LastIndexByte(fullPath, '/')
	if at < 0 {
		return "", fullPath
	}
	return fullPath[:at], fullPath[at+1:]
}
