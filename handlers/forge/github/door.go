package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
	v88 "github.com/google/go-github/v88/github"

	"github.com/registry-build/registry-build/builder"
)

// door is the way into one repository with one set of permissions. Its tokens
// are bound to the repository's numeric id, so that whoever has taken an old
// name of the repository's is not reached with them.
type door struct {
	access *access
	home   *tenancy
	repo   int64
	need   need
	key    string // in home.doors
	client *github.Client

	mu     sync.Mutex
	minter *ghinstallation.Transport
	since  time.Time // of the minter
	name   string    // owner/name, as GitHub or the first caller says
	named  time.Time // when GitHub said so; zero: it has not
	denied error     // a missingPermission, until the next may be asked for
	until  time.Time
}

func (x *access) doorOf(installation, repo int64, name string, n need) *door {
	home := x.tenancy(installation)
	key := fmt.Sprintf("%d %s", repo, n)
	if d, ok := home.doors.Get(key); ok {
		return d
	}
	d := &door{access: x, home: home, repo: repo, need: n, key: key, name: name}
	d.client = x.newClient(d)
	d.renew(nil)
	if other, ok, _ := home.doors.PeekOrAdd(key, d); ok {
		return other
	}
	return d
}

// forget makes the next caller begin anew.
func (d *door) forget() {
	if d.denial() == nil {
		d.home.doors.Remove(d.key)
	}
}

// renew drops the token that the minter gave, unless that has been done.
func (d *door) renew(minter *ghinstallation.Transport) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.minter != minter {
		return
	}
	t := ghinstallation.NewFromAppsTransport(d.access.asApp(minting{door: d, next: d.access.wire}), d.home.id)
	t.InstallationTokenOptions = tokenOptions(d.repo, d.need)
	d.minter, d.since = t, d.access.app.Now()
}

// tokenOptions asks for one repository and the least permissions. The names
// of ghinstallation's version of the API's types are those of GitHub.
func tokenOptions(repo int64, n need) *v88.InstallationTokenOptions {
	o := &v88.InstallationTokenOptions{RepositoryIDs: []int64{repo}, Permissions: &v88.InstallationPermissions{}}
	if len(n) == 0 {
		n = need{"metadata": "read"}
	}
	text, err := json.Marshal(n)
	if err == nil {
		err = json.Unmarshal(text, o.Permissions)
	}
	if err != nil {
		panic(err) // strings into fields of strings
	}
	return o
}

// token returns a token that holds for a minute at least, and who gave it.
func (d *door) token(ctx context.Context) (string, *ghinstallation.Transport, error) {
	if err := d.denial(); err != nil {
		return "", nil, err
	}
	d.mu.Lock()
	minter := d.minter
	d.mu.Unlock()
	token, err := minter.Token(ctx)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusUnprocessableEntity && strings.Contains(strings.ToLower(refused.message), "permission") {
		err = d.access.missing(ctx, d.home.id, d.need)
		d.mu.Lock()
		d.denied, d.until = err, d.access.app.Now().Add(deniedFor)
		d.mu.Unlock()
	}
	return token, minter, err
}

func (d *door) denial() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.access.app.Now().After(d.until) {
		d.denied = nil
	}
	return d.denied
}

func (d *door) fullName() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}

func (d *door) rename(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.Count(name, "/") == 1 {
		d.name, d.named = name, d.access.app.Now()
	}
}

// nameAge is how long ago GitHub said what the repository is called.
func (d *door) nameAge() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.access.app.Now().Sub(d.named)
}

// RoundTrip implements http.RoundTripper for the client's calls.
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	resp, err := d.call(req)
	if err == nil && isRedirect(resp.StatusCode) {
		resp, err = d.follow(req, resp)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusForbidden {
		return resp, nil
	}
	switch message := messageOf(bodyOf(resp)); {
	case strings.Contains(strings.ToLower(message), notAccessible):
		return nil, d.access.notGranted(req.Context(), d.home.id, resp.Header.Get("X-Accepted-GitHub-Permissions"), d.need)
	case strings.Contains(message, suspended):
		return nil, d.closed(&refusal{status: resp.StatusCode, message: message})
	}
	return resp, nil
}

// call sends the request with the repository's name of now and a token. A
// token that is not taken any more is replaced, once.
func (d *door) call(req *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		out, err := rewound(req)
		if err != nil {
			return nil, err
		}
		d.address(out)
		token, minter, err := d.token(out.Context())
		if err != nil {
			return nil, d.closed(err)
		}
		out.Header.Set("Authorization", "Bearer "+token)
		resp, err := d.home.seen.roundTrip(d.home.wire, d.key, out)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized:
			d.renew(minter)
			if !again {
				continue
			}
		case resp.StatusCode == http.StatusNotFound && d.age(minter) > renewBefore:
			d.renew(minter) // the next call finds out whether we are still let in
		}
		return resp, nil
	}
}

// age is how long the minter has been in use; 0 for one that no longer is.
func (d *door) age(minter *ghinstallation.Transport) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.minter != minter {
		return 0
	}
	return d.access.app.Now().Sub(d.since)
}

// closed is a refusal in the middle of calls: the next client finds out which
// installation the repository is in now, if it is in any.
func (d *door) closed(err error) error {
	var refused *refusal
	if !errors.As(err, &refused) {
		return err
	}
	d.forget()
	if refused.status == http.StatusNotFound || refused.status == http.StatusUnprocessableEntity {
		return builder.Later{Wait: time.Second, Reason: fmt.Sprintf("%s is not in installation %d any more", d.fullName(), d.home.id)}
	}
	owner, name, _ := strings.Cut(d.fullName(), "/")
	return shutOut(builder.Repository{Owner: owner, Name: name}, refused)
}

// address puts the repository's name of now where a call has whatever name
// its record knows.
func (d *door) address(req *http.Request) {
	prefix := strings.TrimSuffix(d.access.api.EscapedPath(), "/") + "/repos/"
	path, ok := strings.CutPrefix(req.URL.EscapedPath(), prefix)
	if !ok {
		return
	}
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 2 || strings.EqualFold(parts[0]+"/"+parts[1], d.fullName()) {
		return
	}
	rest := ""
	if len(parts) == 3 {
		rest = "/" + parts[2]
	}
	if u, err := req.URL.Parse(prefix + d.fullName() + rest); err == nil {
		u.RawQuery = req.URL.RawQuery
		req.URL = u
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// follow asks what the repository is called now and calls again. Without a
// new name a read goes where it is sent; a write would arrive there as a read.
// https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
func (d *door) follow(req *http.Request, resp *http.Response) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/repos/") {
		before := d.fullName()
		name, err := d.resolve(req.Context())
		if err != nil {
			return nil, err
		}
		if !strings.EqualFold(name, before) {
			if resp, err = d.call(req); err != nil {
				return nil, err
			}
		}
	}
	if isRedirect(resp.StatusCode) && !reads(req.Method) {
		return nil, fmt.Errorf("GitHub sends %s %s to %s, and a write is not sent on", req.Method, req.URL.Path, resp.Header.Get("Location"))
	}
	return resp, nil
}

// resolve asks what the repository is called now.
func (d *door) resolve(ctx context.Context) (fullName string, err error) {
	r, _, err := d.client.Repositories.GetByID(ctx, d.repo)
	if err != nil {
		return "", notFound(fmt.Errorf("name of repository %d: %w", d.repo, err))
	}
	if r.GetID() != d.repo {
		return "", fmt.Errorf("GitHub answers with repository %d for %d", r.GetID(), d.repo)
	}
	d.rename(r.GetFullName())
	return d.fullName(), nil
}
