package gitlabtest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/fault"
)

// Options change what Start makes. The zero value is a new GitLab with all
// paid features on a free port of the loopback.
type Options struct {
	// Addr is where it listens; default 127.0.0.1:0.
	Addr string
	// RelativeURL is the path that the whole server is below, as "/gitlab":
	// https://docs.gitlab.com/install/relative_url/
	RelativeURL string
	// Dir keeps the bare repositories; default a temporary folder, which
	// Close removes.
	Dir string
	// Now is the clock of tokens, limits, disabled webhooks and every time in
	// an answer.
	Now func() time.Time
	// Version is what the server says of itself; default 18.5.0-ee. A -ce is
	// Free.
	Version string
	// Free leaves out what is sold: group webhooks are refused (403), and not
	// even known (404) where Version is a -ce.
	Free bool
	// NoHookLogs leaves out the delivery logs, as before GitLab 17.3.
	NoHookLogs bool
	// Without are operations that an older server does not have, by method and
	// path as in "GET /personal_access_tokens/self" (which came with 15.5) and
	// "POST /projects/{id}/hooks/{hook_id}/test/{trigger}" (16.11).
	Without []string
	// TLS serves HTTPS with a certificate of Server.CA, for 127.0.0.1.
	TLS bool
	// HookTimeout is how long a webhook's receiver may take; default 10 s.
	HookTimeout time.Duration
	// Log is told what the double itself could not do; default nowhere.
	Log *slog.Logger

	ReviewOptions
}

// Server is one GitLab. Its methods may be called concurrently.
type Server struct {
	// URL is the root of web pages and of git; no slash at the end.
	URL string
	// API is the root of the REST API: URL + "/api/v4".
	API string
	// CA is the authority of its certificate in PEM, with Options.TLS.
	CA []byte

	opts     Options
	log      *slog.Logger
	http     *http.Server
	owned    bool         // Dir is ours to remove
	verified *http.Client // of webhooks
	trusting *http.Client // of those without enable_ssl_verification
	hooks    *fault.Courier[Delivery]
	failures fault.Next[Failure]

	mu         sync.Mutex
	lastID     int64
	users      []*user
	namespaces []*namespace
	tokens     map[string]*Token
	projects   map[int64]*Project
	names      map[string]int64 // path of projects, lower-cased, old ones too
	systemHook []*hook
	requests   []Request
	violations []string
	outgoing   []*Delivery // until unlock
	review     serverReview
}

// New starts a server for one test. A violation of GitLab's shapes that the
// test does not take with Violations fails the test.
func New(t testing.TB, change ...func(*Options)) *Server {
	t.Helper()
	opts := Options{Dir: t.TempDir()}
	for _, f := range change {
		f(&opts)
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close gitlabtest: %v", err)
		}
		for _, v := range s.Violations() {
			t.Errorf("GitLab's shapes: %s", v)
		}
	})
	return s
}

// Start starts a server that Close ends.
func Start(opts Options) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Version == "" {
		opts.Version = "18.5.0-ee"
	}
	if opts.HookTimeout == 0 {
		opts.HookTimeout = 10 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Free = opts.Free || strings.HasSuffix(opts.Version, "-ce")
	s := &Server{
		opts: opts, log: opts.Log, lastID: 1000,
		tokens: map[string]*Token{}, projects: map[int64]*Project{}, names: map[string]int64{},
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "gitlabtest-")
		if err != nil {
			return nil, err
		}
		s.opts.Dir, s.owned = dir, true
	}
	listener, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	scheme := "http"
	if opts.TLS {
		scheme, listener = "https", s.secure(listener)
	}
	s.URL = scheme + "://" + listener.Addr().String() + strings.TrimRight(opts.RelativeURL, "/")
	s.API = s.URL + "/api/v4"
	s.verified = &http.Client{Timeout: opts.HookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
	s.trusting = &http.Client{Timeout: opts.HookTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	s.hooks = fault.NewCourier(s.attempt)
	s.startReview()
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve gitlabtest", "err", err)
		}
	}()
	return s, nil
}

// secure wraps a listener in TLS, with the certificate for tests that the
// standard library has; it is its own authority.
func (s *Server) secure(listener net.Listener) net.Listener {
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	defer lender.Close()
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lender.Certificate().Raw})
	return tls.NewListener(listener, &tls.Config{Certificates: lender.TLS.Certificates})
}

// Close ends deliveries and connections and removes a temporary folder.
func (s *Server) Close() error {
	s.hooks.Close()
	s.verified.CloseIdleConnections()
	s.trusting.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if s.owned {
		err = errors.Join(err, os.RemoveAll(s.opts.Dir))
	}
	return err
}

// Settle waits until every webhook so far has been answered, or ctx ends.
func (s *Server) Settle(ctx context.Context) error { return s.hooks.Settle(ctx) }

// Violations is what did not fit GitLab's shapes so far, taken away: for tests
// that provoke some.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.unlock()
	list := s.violations
	s.violations = nil
	return list
}

// complain adds a violation, under the lock.
func (s *Server) complain(format string, args ...any) {
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// unlock sends what was made under the lock, all of it done: who is told of a
// push at once could else ask for what is not there yet, or wait for the lock.
func (s *Server) unlock() {
	for _, d := range s.outgoing {
		s.hooks.Add(d)
	}
	s.outgoing = nil
	s.mu.Unlock()
}

func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

// id numbers everything in one row, so that an id in the wrong place fits nothing.
func (s *Server) id() int64 {
	s.lastID++
	return s.lastID
}
