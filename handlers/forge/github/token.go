package github

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v60/github"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registry-build/registry-build/builder"
)

const (
	keptDoors   = 8192            // of an installation: repositories times sets of permissions
	deniedFor   = time.Minute     // a permission that is missing is not asked for again before
	renewBefore = 2 * time.Minute // a token that is younger is not what a 404 comes from
)

// access is all that is kept between calls, for one identity of the app.
type access struct {
	app      *App
	identity Identity
	key      *rsa.PrivateKey
	api      *url.URL
	wire     *wire          // the app's own
	client   *github.Client // speaks as the app itself

	mu       sync.Mutex
	installs map[int64]*tenancy
	moved    map[int64]int64 // repository -> the installation that it is in now
}

// tenancy is one installation: its limits and what was read, once for all of
// its repositories, because GitHub counts them together.
type tenancy struct {
	id    int64
	wire  *wire
	doors *lru.Cache[string, *door]
	seen  *etags
}

// access returns what is kept for the app as it is now: it may be made, or
// get another key, while we run.
func (a *App) access(ctx context.Context) (*access, error) {
	id, err := a.Identities.Identity(ctx)
	if errors.Is(err, builder.ErrNotFound) {
		return nil, fmt.Errorf("the GitHub App is not set up yet: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("GitHub App: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := a.current; x != nil && x.identity.ID == id.ID && x.identity.Key == id.Key {
		return x, nil
	}
	x, err := newAccess(a, id)
	if err != nil {
		return nil, err
	}
	a.current = x
	return x, nil
}

func newAccess(a *App, id Identity) (*access, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(id.Key))
	if err != nil {
		return nil, fmt.Errorf("private key of the GitHub App %d: %w", id.ID, err)
	}
	api, err := url.Parse(a.Config.API)
	if err != nil {
		return nil, fmt.Errorf("address of GitHub's API: %w", err)
	}
	x := &access{app: a, identity: id, key: key, api: api, installs: map[int64]*tenancy{}, moved: map[int64]int64{}}
	// Tokens and redeliveries are no content: only points count.
	x.wire = &wire{base: a.HTTP, api: api, limits: newLimits(a.Now, false)}
	x.client = x.newClient(x.asApp(x.wire))
	return x, nil
}

// asApp signs requests with the app's key. Each needs a transport of its own,
// because the tokens that are made with it write into it.
func (x *access) asApp(next http.RoundTripper) *ghinstallation.AppsTransport {
	t := ghinstallation.NewAppsTransportFromPrivateKey(next, x.identity.ID, x.key)
	t.BaseURL = x.api.String()
	return t
}

func (x *access) newClient(t http.RoundTripper) *github.Client {
	c := github.NewClient(&http.Client{Transport: t, Timeout: callLimit})
	c.BaseURL = x.api.JoinPath("/")
	c.UserAgent = "registry-build"
	return c
}

// tenancy returns what is kept for an installation.
func (x *access) tenancy(id int64) *tenancy {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.installs[id]
	if t == nil {
		doors, err := lru.New[string, *door](keptDoors)
		if err != nil {
			panic(err) // only a size below 1 is refused
		}
		t = &tenancy{id: id, doors: doors, seen: newETags(),
			wire: &wire{base: x.app.HTTP, api: x.api, limits: newLimits(x.app.Now, true), lag: true}}
		x.installs[id] = t
	}
	return t
}

// Forget drops the tokens of an installation and what was read with them:
// when it was withdrawn, suspended, or grants other permissions.
func (a *App) Forget(installation string) {
	id, err := numericID(installation)
	a.mu.Lock()
	x := a.current
	a.mu.Unlock()
	if err != nil || x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if t := x.installs[id]; t != nil {
		// What GitHub said about limits stays true.
		t.doors.Purge()
		t.seen.purge()
	}
	for repo, to := range x.moved {
		if to == id {
			delete(x.moved, repo)
		}
	}
}

// door returns the way into one repository with the permissions that are
// named, open: it has a token. Where the installation that the repository's
// record names is gone, the one that it is in now is looked up, once.
func (a *App) door(ctx context.Context, repo builder.Repository, n need) (*door, error) {
	x, err := a.access(ctx)
	if err != nil {
		return nil, err
	}
	id, err := numericID(repo.ID)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", repo.FullName(), err)
	}
	ctx, done := context.WithTimeout(ctx, callLimit)
	defer done()
	installation, known := x.installationOf(id, repo.Installation)
	for looked := false; ; looked = true {
		if !known {
			if installation, err = x.lookUp(ctx, repo, id); err != nil {
				return nil, err
			}
			looked = true
		}
		d := x.doorOf(installation, id, repo.FullName(), n)
		_, _, err := d.token(ctx)
		if err == nil {
			return d, nil
		}
		d.forget()
		var refused *refusal
		if !errors.As(err, &refused) {
			return nil, err
		}
		if looked {
			return nil, shutOut(repo, refused)
		}
		known = false
	}
}

// shutOut says that we may not go into the repository, or why it is not known.
func shutOut(repo builder.Repository, refused *refusal) error {
	switch refused.status {
	case http.StatusUnauthorized:
		return fmt.Errorf("GitHub does not take the app's key or the clock of this machine: %w", refused)
	case http.StatusForbidden:
		return fmt.Errorf("the GitHub App may not go into %s (%w): %w", repo.FullName(), refused, builder.ErrNotFound)
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return fmt.Errorf("the GitHub App is not installed in %s: %w", repo.FullName(), builder.ErrNotFound)
	}
	return fmt.Errorf("token for %s: %w", repo.FullName(), refused)
}

// installationOf is the installation that a repository was found in before,
// else the one that its record names.
func (x *access) installationOf(repo int64, recorded string) (id int64, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if id, ok := x.moved[repo]; ok {
		return id, true
	}
	id, err := numericID(recorded)
	return id, err == nil
}

// lookUp asks for the installation that the repository is in now.
func (x *access) lookUp(ctx context.Context, repo builder.Repository, id int64) (int64, error) {
	x.mu.Lock()
	delete(x.moved, id)
	x.mu.Unlock()
	installation, err := x.installedIn(ctx, repo.Owner, repo.Name)
	if err != nil {
		return 0, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.moved[id] = installation
	return installation, nil
}

// installedIn returns the installation that reaches whatever repository has
// the name now. builder.ErrNotFound.
// https://docs.github.com/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app
func (x *access) installedIn(ctx context.Context, owner, name string) (int64, error) {
	found, _, err := x.client.Apps.FindRepositoryInstallation(ctx, url.PathEscape(owner), url.PathEscape(name))
	switch answeredWith(err) {
	case http.StatusNotFound:
		return 0, fmt.Errorf("the GitHub App is not installed in %s/%s: %w", owner, name, builder.ErrNotFound)
	case http.StatusUnauthorized:
		return 0, fmt.Errorf("GitHub does not take the app's key or the clock of this machine: %w", err)
	}
	if err != nil {
		return 0, fmt.Errorf("installation of %s/%s: %w", owner, name, err)
	}
	return found.GetID(), nil
}

// minted is what a token's answer tells beside the token.
// https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app
type minted struct {
	Repositories []struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	} `json:"repositories"`
}

// minting carries requests for tokens of one door and reads the answer: a
// refusal as such, and what the repository is called now.
type minting struct {
	door *door
	next http.RoundTripper
}

func (m minting) RoundTrip(req *http.Request) (*http.Response, error) {
	// A second token does no harm, an answer that was lost would.
	resp, err := m.next.RoundTrip(req.WithContext(repeatable(req.Context())))
	if err != nil {
		return nil, err
	}
	body := bodyOf(resp)
	if resp.StatusCode/100 != 2 {
		return nil, &refusal{status: resp.StatusCode, message: messageOf(body)}
	}
	var answer minted
	if json.Unmarshal(body, &answer) == nil {
		for _, r := range answer.Repositories {
			if r.ID == m.door.repo {
				m.door.rename(r.FullName)
			}
		}
	}
	return resp, nil
}
