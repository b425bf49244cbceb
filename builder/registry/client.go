package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registry-build/registry-build/builder"
)

// Options of a client; all may be left out.
type Options struct {
	// Ledger keeps the order of pushes. Without one, as for a build from a
	// laptop, Put moves tags wherever it is asked to.
	Ledger Ledger
	// Insecure lists registries (host:port, as in references) that may be
	// spoken to in plain HTTP. Loopback always may; a private address is no
	// reason to send credentials in the clear.
	Insecure []string
	// Mirrors are asked before the registry itself when an image is resolved,
	// in this order and without its login, as the builder pulls.
	Mirrors map[string][]string
	// Transport makes the connections; nil takes one of the client's own.
	Transport http.RoundTripper
	// Budget is how long one request may wait, in all, to be tried again;
	// 0 is a minute.
	Budget time.Duration
	// Wait waits for a duration or returns ctx's error; nil takes a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// RenewEvery is how often the lease of a repository is extended while its
	// tags are put; 0 is 5 s. The ledger keeps a lease three times as long.
	RenewEvery time.Duration
	// Log gets what could not be mended and is nobody's error; nil discards.
	Log *slog.Logger
}

// Client implements builder.Registry. It may be used concurrently.
type Client struct {
	ledger     Ledger
	mirrors    map[string][]name.Registry // by registry
	insecure   map[string]bool
	transport  http.RoundTripper
	renewEvery time.Duration
	log        *slog.Logger
}

var _ builder.Registry = (*Client)(nil)

// New returns a client; it keeps connections open but runs nothing.
func New(o Options) *Client {
	if o.Ledger == nil {
		o.Ledger = unguarded{}
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	insecure := map[string]bool{}
	for _, host := range o.Insecure {
		insecure[host] = true
	}
	return &Client{
		ledger:   o.Ledger,
		mirrors:  mirrorsOf(o.Mirrors),
		insecure: insecure,
		transport: &guard{
			next:     &retrier{next: o.Transport, budget: cmp.Or(o.Budget, time.Minute), wait: o.Wait},
			allow:    insecure,
			bodyTime: bodyTime,
		},
		renewEvery: cmp.Or(o.RenewEvery, renewEvery),
		log:        o.Log,
	}
}

// mirrorsOf reads the mirrors by the names that go-containerregistry gives
// registries. Names that it does not take were refused with the server file.
func mirrorsOf(configured map[string][]string) map[string][]name.Registry {
	mirrors := map[string][]name.Registry{}
	for host, list := range configured {
		origin, err := name.NewRegistry(host)
		if err != nil {
			continue
		}
		for _, m := range list {
			if mirror, err := name.NewRegistry(m); err == nil {
				mirrors[origin.RegistryStr()] = append(mirrors[origin.RegistryStr()], mirror)
			}
		}
	}
	return mirrors
}

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   parallel,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,

		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Resolve returns the digest that a reference names now: one HEAD, or a GET
// where the registry's answer to HEAD is of no use. The error wraps
// builder.ErrNotFound, or is ctx's, or is a *builder.Failure of StageBuild.
func (c *Client) Resolve(ctx context.Context, reference string, login builder.Login) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", &builder.Failure{Stage: builder.StageBuild, Err: err,
			Message: fmt.Sprintf("%q is not the name of an image: write registry/name:tag or registry/name@sha256:…", reference)}
	}
	for _, mirror := range c.mirrors[ref.Context().RegistryStr()] {
		digest, err := c.resolve(ctx, at(ref, mirror), builder.Login{})
		if err == nil {
			return digest, nil
		}
		c.log.DebugContext(ctx, "mirror", "mirror", mirror, "reference", reference, "err", err)
	}
	return c.resolve(ctx, ref, login)
}

// at is the same image in another registry.
func at(ref name.Reference, registry name.Registry) name.Reference {
	repo := registry.Repo(ref.Context().RepositoryStr())
	if digest, ok := ref.(name.Digest); ok {
		return repo.Digest(digest.DigestStr())
	}
	return repo.Tag(ref.Identifier())
}

func (c *Client) resolve(ctx context.Context, ref name.Reference, login builder.Login) (string, error) {
	x := explainer{stage: builder.StageBuild, verb: "read", repo: ref.Context(), login: login}
	s, err := c.connect(ctx, ref.Context(), login, transport.PullScope)
	if err != nil {
		return "", x.explain(ctx, err)
	}
	digest, err := s.digest(ctx, ref)
	if err != nil {
		return "", x.explain(ctx, err)
	}
	return digest, nil
}

// session is an authenticated connection for one repository: the handshake
// is made once, not for each request.
type session struct {
	repo name.Repository
	rt   http.RoundTripper
}

func (c *Client) connect(ctx context.Context, repo name.Repository, login builder.Login, actions string) (*session, error) {
	if c.insecure[repo.RegistryStr()] {
		var err error
		if repo, err = name.NewRepository(repo.Name(), name.Insecure); err != nil {
			return nil, err
		}
	}
	rt, err := transport.NewWithContext(ctx, repo.Registry, authenticator(repo, login), c.transport, []string{repo.Scope(actions)})
	if status(err) == http.StatusNotFound {
		// Not an image that is missing, which callers branch on.
		return nil, &builder.Failure{Stage: builder.StagePush, Err: err,
			Message: fmt.Sprintf("%s is no registry (it has no /v2/): check the name and the port", repo.RegistryStr())}
	}
	if err != nil {
		return nil, err
	}
	return &session{repo: repo, rt: rt}, nil
}

// authenticator never gives a login to another registry than its own.
func authenticator(repo name.Repository, login builder.Login) authn.Authenticator {
	if login.Password == "" {
		return authn.Anonymous
	}
	if own, err := name.NewRegistry(login.Host); login.Host != "" && (err != nil || own.RegistryStr() != repo.RegistryStr()) {
		return authn.Anonymous
	}
	if login.Username == "" {
		login.Username = "token" // go-containerregistry sends nothing without a name
	}
	return &authn.Basic{Username: login.Username, Password: login.Password}
}

// options make go-containerregistry use the session as it is: no handshake,
// and no retries but ours, which obey Retry-After.
func (s *session) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(s.rt),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
}

func (s *session) digest(ctx context.Context, ref name.Reference) (string, error) {
	desc, err := remote.Head(ref, s.options(ctx)...)
	if err == nil {
		return desc.Digest.String(), nil
	}
	if !askAgain(err) || ctx.Err() != nil {
		return "", err
	}
	// Some registries do not answer HEAD, or leave the digest out; and only
	// GET has a body that says why it was refused.
	got, err := remote.Get(ref, s.options(ctx)...)
	if err != nil {
		return "", err
	}
	return got.Digest.String(), nil
}

// askAgain reports whether GET could tell more than a failed HEAD did.
func askAgain(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode != http.StatusNotFound && !retryable(answer.StatusCode)
	}
	var network net.Error
	return !errors.As(err, &network)
}
