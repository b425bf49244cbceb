package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/oci"
)

const token = "correct-horse"

// kinds are the registries that the client is tried on.
var kinds = map[string]func(*testing.T) http.Handler{
	"distribution":             func(t *testing.T) http.Handler { return distribution(t, false) },
	"distribution with tokens": func(t *testing.T) http.Handler { return distribution(t, true) },
	"go-containerregistry": func(*testing.T) http.Handler {
		return ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	},
}

func distribution(t *testing.T, closed bool) http.Handler {
	t.Helper()
	access := func(r *http.Request, _ string, _, _, _ bool) error {
		if _, password, _ := r.BasicAuth(); closed && password != token {
			return oci.ErrUnauthenticated
		}
		return nil
	}
	reg, err := oci.New(oci.Options{Dir: t.TempDir(), Access: oci.AccessFunc(access), Secret: []byte("0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg
}

// front stands before a registry: it counts the writes of tags, and may
// answer or delay in its place.
type front struct {
	http.Handler

	mu        sync.Mutex
	intercept interceptor
	puts      []string // tags, in order of arrival
}

// interceptor returns true when it has answered. It may call the registry.
type interceptor func(w http.ResponseWriter, r *http.Request, registry http.Handler) bool

func (f *front) on(i interceptor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = i
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if tag := putTag(r); tag != "" {
		f.puts = append(f.puts, tag)
	}
	intercept := f.intercept
	f.mu.Unlock()
	if intercept == nil || !intercept(w, r, f.Handler) {
		f.Handler.ServeHTTP(w, r)
	}
}

// putTag is the tag that the request writes, or "".
func putTag(r *http.Request) string {
	_, reference, ok := strings.Cut(r.URL.Path, "/manifests/")
	if r.Method != http.MethodPut || !ok || strings.Contains(reference, ":") {
		return ""
	}
	return reference
}

func (f *front) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	puts := f.puts
	f.puts = nil
	return puts
}

// serve returns the image repository acme/hello of the registry.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://") + "/acme/hello"
}

func login(repository string) builder.Login {
	host, _, _ := strings.Cut(repository, "/")
	return builder.Login{Host: host, Username: "build", Password: token}
}

var auth = remote.WithAuth(&authn.Basic{Username: "build", Password: token})

// pushImage pushes a random image by digest only.
func pushImage(t *testing.T, repository string) string {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(repository + "@" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, auth); err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// tagsOf returns what the tags of a repository name now.
func tagsOf(t *testing.T, repository string) map[string]string {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	names, err := remote.List(repo, auth)
	if err != nil && !strings.Contains(err.Error(), "NAME_UNKNOWN") {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, tag := range names {
		desc, err := remote.Head(repo.Tag(tag), auth)
		if err != nil {
			t.Fatal(err)
		}
		named[tag] = desc.Digest.String()
	}
	return named
}

// ledger is a Ledger in memory. It fences as the contract says; leases run
// out when a test says so.
type ledger struct {
	mu        sync.Mutex
	free      *sync.Cond
	held      map[string]string // repository -> token
	tokens    int
	positions map[string]builder.Position // repository:tag
	extended  int
	unlocked  int
}

func newLedger() *ledger {
	l := &ledger{held: map[string]string{}, positions: map[string]builder.Position{}}
	l.free = sync.NewCond(&l.mu)
	return l
}

func (l *ledger) Lock(ctx context.Context, repository, owner string) (string, error) {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free.Broadcast()
	})()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held[repository] != "" {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		l.free.Wait()
	}
	return l.take(repository), nil
}

func (l *ledger) take(repository string) string {
	l.tokens++
	l.held[repository] = fmt.Sprintf("token-%d", l.tokens)
	return l.held[repository]
}

// takeOver gives the lease to somebody else, as if it had run out.
func (l *ledger) takeOver(repository string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(repository)
}

func (l *ledger) check(ctx context.Context, repository, token string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if l.held[repository] != token {
		return builder.ErrLeaseLost
	}
	return nil
}

func (l *ledger) Extend(ctx context.Context, repository, token string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extended++
	return l.check(ctx, repository, token)
}

func (l *ledger) Unlock(ctx context.Context, repository, token string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlocked++
	if l.check(ctx, repository, token) == nil {
		delete(l.held, repository)
		l.free.Broadcast()
	}
	return ctx.Err()
}

func (l *ledger) Positions(ctx context.Context, repository string, tags []string) (map[string]builder.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]builder.Position{}
	for _, tag := range tags {
		p := l.positions[repository+":"+tag]
		if p.Digest = ""; p != (builder.Position{}) {
			found[tag] = p
		}
	}
	return found, ctx.Err()
}

func (l *ledger) SetPositions(ctx context.Context, repository, token string, positions map[string]builder.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(ctx, repository, token); err != nil {
		return err
	}
	for tag, p := range positions {
		if p == (builder.Position{}) {
			delete(l.positions, repository+":"+tag)
		} else {
			l.positions[repository+":"+tag] = p
		}
	}
	return nil
}

// commits returns the commit of each position, by tag.
func (l *ledger) commits(repository string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	commits := map[string]string{}
	for key, p := range maps.All(l.positions) {
		if tag, ok := strings.CutPrefix(key, repository+":"); ok {
			commits[tag] = p.Commit
		}
	}
	return commits
}

// at is a position on main. Commits are letters: history is the alphabet.
func at(commit string, seq int64) builder.Position {
	return builder.Position{Repository: "git:acme/hello", Ref: "refs/heads/main", Commit: commit, Seq: seq}
}

func descends(_ context.Context, ancestor, commit string) (bool, error) {
	return ancestor <= commit, nil
}

func fenceOpen(context.Context) error { return nil }

// request asks for tags on a digest.
func request(repository, digest string, p builder.Position, tags ...string) builder.TagRequest {
	return builder.TagRequest{Repository: repository, Digest: digest, Tags: tags, Login: login(repository),
		Owner: "build/1", Position: p, Descends: descends, Fence: fenceOpen}
}

// await polls until the condition, which is looked at under the ledger's
// lock, holds.
func (l *ledger) await(t *testing.T, condition func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		l.mu.Lock()
		ok := condition()
		l.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Error("waited in vain")
			return
		}
	}
}
