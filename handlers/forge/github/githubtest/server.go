package githubtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/fault"
)

// Options change what Start makes. The zero value is a server on a free port
// of the loopback, with the limits of github.com but without secondary ones,
// and without a validator.
type Options struct {
	// Addr is where it listens; default 127.0.0.1:0.
	Addr string
	// Dir keeps the bare repositories; default a temporary folder, which
	// Close removes.
	Dir string
	// Now is the clock of tokens, limits and every time in an answer.
	Now func() time.Time
	// Validator holds every request and response of the API against GitHub's
	// description; nil does not.
	Validator *Validator
	// RateLimit is how many requests an installation has an hour; default 5,000.
	RateLimit int
	// SecondaryLimits switches on 80 content writes a minute, 500 an hour and
	// 900 points a minute, for each installation.
	SecondaryLimits bool
	// HookTimeout is how long a webhook's receiver may take; default 10 s.
	HookTimeout time.Duration
	// Log is told what the double itself could not do; default nowhere.
	Log *slog.Logger
}

// Server is one github.com. Its methods may be called concurrently.
type Server struct {
	// URL is the root of the web pages, of OAuth and of git; no slash at the end.
	URL string
	// API is the root of the REST API, as on GitHub Enterprise Server:
	// URL + "/api/v3". The API answers directly under URL too.
	API string

	opts     Options
	log      *slog.Logger
	http     *http.Server
	owned    bool         // Dir is ours to remove
	client   *http.Client // of webhooks
	hooks    *fault.Courier[Delivery]
	failures fault.Next[Failure]
	limit    *limiter

	mu       sync.Mutex
	lastID   int64
	accounts map[string]*account // by lower-cased login
	apps     []*App
	codes    map[string]*App   // of the manifest flow
	grants   map[string]*grant // OAuth codes
	tokens   map[string]*token
	repos    map[int64]*Repo
	names    map[string]int64 // full name, lower-cased, old ones too
	requests []Request
	outgoing []*Delivery // until unlock
}

// New starts a server for one test, with the validator on: a violation that
// the test does not take with Validator.Take fails the test.
func New(t testing.TB, change ...func(*Options)) *Server {
	t.Helper()
	validator, err := NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: t.TempDir(), Validator: validator}
	for _, f := range change {
		f(&opts)
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close githubtest: %v", err)
		}
		if opts.Validator == nil {
			return
		}
		for _, v := range opts.Validator.Violations() {
			t.Errorf("GitHub's description: %s", v)
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
	if opts.RateLimit == 0 {
		opts.RateLimit = 5000
	}
	if opts.HookTimeout == 0 {
		opts.HookTimeout = 10 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts: opts, log: opts.Log, lastID: 1000,
		accounts: map[string]*account{}, codes: map[string]*App{}, grants: map[string]*grant{},
		tokens: map[string]*token{}, repos: map[int64]*Repo{}, names: map[string]int64{},
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "githubtest-")
		if err != nil {
			return nil, err
		}
		s.opts.Dir, s.owned = dir, true
	}
	listener, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.API = s.URL + "/api/v3"
	s.limit = newLimiter(opts.RateLimit, opts.SecondaryLimits, opts.Now)
	s.client = &http.Client{Timeout: opts.HookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
	s.hooks = fault.NewCourier(s.attempt)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve githubtest", "err", err)
		}
	}()
	return s, nil
}

// Close ends deliveries and connections and removes a temporary folder.
func (s *Server) Close() error {
	s.hooks.Close()
	s.client.CloseIdleConnections()
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

// Violations is what did not fit GitHub's description so far, taken away: for
// tests that provoke some. It is empty without a validator.
func (s *Server) Violations() []string {
	if s.opts.Validator == nil {
		return nil
	}
	return s.opts.Validator.Take()
}

// Settle waits until every webhook so far has been answered, or ctx ends.
func (s *Server) Settle(ctx context.Context) error { return s.hooks.Settle(ctx) }

// unlock sends what was made under the lock, all of it done: who is told of a
// push at once could else ask for what is not there yet, or wait for the lock.
func (s *Server) unlock() {
	for _, d := range s.outgoing {
		s.hooks.Add(d)
	}
	s.outgoing = nil
	s.mu.Unlock()
}

func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// id numbers everything in one row, so that an id in the wrong place fits nothing.
func (s *Server) id() int64 {
	s.lastID++
	return s.lastID
}
