package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

const mintPattern = "POST /app/installations/*/access_tokens"

// post writes a status through the client, as reports do.
func (r *clientRig) post(t *testing.T, repo builder.Repository) error {
	t.Helper()
	gh, err := r.client(t.Context(), repo, need{"statuses": "write"})
	if err != nil {
		return err
	}
	_, _, err = gh.Repositories.CreateStatus(t.Context(), repo.Owner, repo.Name, r.repo.Head("refs/heads/main"),
		&github.RepoStatus{State: github.String("success"), Context: github.String("registry-build")})
	return err
}

// withCommit gives the rig's repository its first commit.
func (r *clientRig) withCommit(t *testing.T) *clientRig {
	t.Helper()
	if _, err := r.repo.Push(githubtest.Push{Files: map[string]string{"Dockerfile": "FROM scratch\n"}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTokensAreForOneRepositoryAndLittleElse(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	for range 2 {
		if err := r.post(t, r.record()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.gh.Requests(mintPattern)); n != 1 {
		t.Errorf("%d tokens for two calls; want 1, kept", n)
	}
	posted := r.gh.Requests("POST /repos/acme/shop/statuses/*")
	if len(posted) != 2 {
		t.Fatalf("%d statuses; want 2", len(posted))
	}
	want := map[string]string{"statuses": "write", "metadata": "read"}
	if diff := cmp.Diff(want, posted[1].Permissions); diff != "" {
		t.Errorf("permissions of the token (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{r.repo.ID()}, posted[1].Repositories); diff != "" {
		t.Errorf("repositories of the token (-want +got):\n%s", diff)
	}
}

func TestRepositoryOfAnotherInstallation(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *clientRig, repo *builder.Repository)
		want   string // "": it works
	}{
		{name: "an old installation in the record", change: func(t *testing.T, r *clientRig, _ *builder.Repository) {
			r.inst.Uninstall()
			if _, err := r.app.Install("acme"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "no installation in the record", change: func(_ *testing.T, _ *clientRig, repo *builder.Repository) {
			repo.Installation = ""
		}},
		{name: "uninstalled", want: "the GitHub App is not installed in acme/shop: not found",
			change: func(_ *testing.T, r *clientRig, _ *builder.Repository) { r.inst.Uninstall() }},
		{name: "suspended", want: "the GitHub App may not go into acme/shop (GitHub answers 403: This installation has been suspended): not found",
			change: func(_ *testing.T, r *clientRig, _ *builder.Repository) { r.inst.Suspend() }},
		{name: "taken out of the installation", want: "the GitHub App is not installed in acme/shop: not found",
			change: func(t *testing.T, r *clientRig, _ *builder.Repository) {
				if _, err := r.gh.AddRepo("acme/other", githubtest.RepoOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := r.inst.RemoveRepository("acme/shop"); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "an id that is none", want: `repository acme/shop: "12x" is no id of GitHub's: not found`,
			change: func(_ *testing.T, _ *clientRig, repo *builder.Repository) { repo.ID = "12x" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newClientRig(t).withCommit(t)
			repo := r.record()
			test.change(t, r, &repo)
			for range 2 { // what was found out holds for the next call
				err := r.post(t, repo)
				if test.want == "" && err != nil {
					t.Fatal(err)
				}
				if test.want != "" && (!errors.Is(err, builder.ErrNotFound) || err.Error() != test.want) {
					t.Fatalf("got %v\nwant %s", err, test.want)
				}
			}
			if n := len(r.gh.Requests("GET /repos/*/*/installation")); test.want == "" && n != 1 {
				t.Errorf("the installation was looked up %d times; want once", n)
			}
		})
	}
}

func TestWithoutAnApp(t *testing.T) {
	r := newClientRig(t)
	r.Identities = identityOf{}
	if _, err := r.client(t.Context(), r.record(), need{}); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("client: %v; want ErrNotFound", err)
	}
	if _, err := r.appClient(t.Context()); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("appClient: %v; want ErrNotFound", err)
	}
	r.Identities = identityOf{ID: 7, Key: "no key"}
	if _, err := r.appClient(t.Context()); err == nil || !strings.Contains(err.Error(), "private key of the GitHub App 7") {
		t.Errorf("a broken key: %v", err)
	}
}

// The app that is made on the setup page while we run is used at once.
func TestIdentityChanges(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	old := r.Identities
	r.Identities = identityOf{ID: r.app.ID, Key: newKey(t)}
	err := r.post(t, r.record())
	if err == nil || errors.Is(err, builder.ErrNotFound) || !strings.Contains(err.Error(), "does not take the app's key") {
		t.Errorf("a wrong key: %v; want an error that says so and is no ErrNotFound", err)
	}
	r.Identities = old
	if err := r.post(t, r.record()); err != nil {
		t.Errorf("after the change: %v", err)
	}
	gh, err := r.appClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	app, _, err := gh.Apps.Get(t.Context(), "")
	if err != nil || app.GetID() != r.app.ID {
		t.Errorf("the app is %d, %v; want %d", app.GetID(), err, r.app.ID)
	}
}

func TestTokenThatIsNotTakenIsReplaced(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	if err := r.post(t, r.record()); err != nil {
		t.Fatal(err)
	}
	r.revokeTokens(t)
	if err := r.post(t, r.record()); err != nil {
		t.Errorf("after the tokens were revoked: %v", err)
	}
	if n := len(r.gh.Requests(mintPattern)); n != 2 {
		t.Errorf("%d tokens; want 2", n)
	}
}

// revokeTokens ends the tokens that are in use, as GitHub does on its own now
// and then.
func (r *clientRig) revokeTokens(t *testing.T) {
	t.Helper()
	posted := r.gh.Requests("POST /repos/acme/shop/statuses/*")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.gh.API+"/installation/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", posted[len(posted)-1].Header.Get("Authorization"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("revoke: %s", resp.Status)
	}
}

// What happens to an installation while its tokens are in use.
func TestInstallationChangesInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *clientRig)
		during bool // the call under way is put off, not refused
		works  bool // the next one
	}{
		{"suspended", func(_ *testing.T, r *clientRig) { r.inst.Suspend() }, false, false},
		{"uninstalled", func(_ *testing.T, r *clientRig) { r.inst.Uninstall() }, true, false},
		{"installed again", func(t *testing.T, r *clientRig) {
			r.inst.Uninstall()
			if _, err := r.app.Install("acme"); err != nil {
				t.Fatal(err)
			}
		}, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newClientRig(t).withCommit(t)
			gh, err := r.client(t.Context(), r.record(), need{"statuses": "write"})
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, r)
			_, _, err = gh.Repositories.CreateStatus(t.Context(), "acme", "shop", r.repo.Head("refs/heads/main"), &github.RepoStatus{State: github.String("pending")})
			var later builder.Later
			if errors.As(err, &later) != test.during || errors.Is(err, builder.ErrNotFound) == test.during {
				t.Errorf("a call under way: %v", err)
			}
			err = r.post(t, r.record())
			if test.works && err != nil || !test.works && (!errors.Is(err, builder.ErrNotFound) || !strings.Contains(err.Error(), "the GitHub App")) {
				t.Errorf("the next call: %v; want that it works: %t", err, test.works)
			}
		})
	}
}

// A repository that moves to another owner stays the same one.
func TestTransferredRepository(t *testing.T) {
	var seen *githubtest.Validator
	r := newClientRig(t, func(o *githubtest.Options) { seen = o.Validator }).withCommit(t)
	if err := r.post(t, r.record()); err != nil {
		t.Fatal(err)
	}
	r.gh.AddOrg("globex")
	if _, err := r.app.Install("globex"); err != nil {
		t.Fatal(err)
	}
	if err := r.repo.Transfer("globex"); err != nil {
		t.Fatal(err)
	}
	for _, v := range seen.Take() {
		if !strings.HasPrefix(v, "webhook ") { // nobody receives it here
			t.Errorf("GitHub's description: %s", v)
		}
	}
	later := time.Now().Add(renewBefore + time.Minute)
	r.Now = func() time.Time { return later } // the token is not new any more
	if err := r.post(t, r.record()); err == nil {
		t.Error("the old installation's token still works")
	}
	if err := r.post(t, r.record()); err != nil {
		t.Errorf("the next call: %v", err)
	}
	o, err := r.Origin(t.Context(), r.record())
	if err != nil || o.URL != r.gh.URL+"/globex/shop.git" {
		t.Errorf("origin %q, %v; want globex/shop.git", o.URL, err)
	}
}

func TestForget(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	if err := r.post(t, r.record()); err != nil {
		t.Fatal(err)
	}
	r.Forget(strconv.FormatInt(r.inst.ID, 10))
	r.Forget("not an id")
	if err := r.post(t, r.record()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.gh.Requests(mintPattern)); n != 2 {
		t.Errorf("%d tokens; want a new one after Forget", n)
	}
}

func TestRenamedRepository(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	old := r.record()
	if err := r.post(t, old); err != nil {
		t.Fatal(err)
	}
	if err := r.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.post(t, old); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.gh.Requests("POST /repos/acme/store/statuses/*")); n != 2 {
		t.Errorf("%d statuses at the new name; want 2", n)
	}
	if n := len(r.gh.Requests("GET /repositories/*")); n != 1 {
		t.Errorf("the name was asked for %d times; want once", n)
	}
}

// Whoever takes an old name is not reached with the right to the repository
// that had it.
func TestNewcomerUnderTheOldName(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	old := r.record()
	if err := r.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	newcomer, err := r.gh.AddRepo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.post(t, old); err != nil {
		t.Errorf("the repository that is meant: %v", err)
	}
	if all := r.gh.Requests("POST /repos/acme/shop/**"); len(all) > 0 {
		t.Errorf("the newcomer was written to: %d requests", len(all))
	}
	for _, q := range r.gh.Requests("") {
		if slices.Contains(q.Repositories, newcomer.ID()) {
			t.Errorf("%s %s was asked with a token for the newcomer", q.Method, q.Path)
		}
	}
}

func TestMissingPermissionIsSaidOnce(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	granted := githubtest.DefaultPermissions()
	delete(granted, "statuses")
	r.inst.SetPermissions(granted)
	for range 3 {
		err := r.post(t, r.record())
		var m missingPermission
		if !errors.As(err, &m) || m.permission != "statuses: write" || m.installation != r.inst.ID {
			t.Fatalf("got %v; want that statuses: write is missing", err)
		}
	}
	if n := strings.Count(r.log.String(), "a permission is missing"); n != 1 {
		t.Errorf("said %d times:\n%s", n, r.log)
	}
	if !strings.Contains(r.log.String(), "/settings/installations/"+strconv.FormatInt(r.inst.ID, 10)) {
		t.Errorf("the log does not say where to accept it:\n%s", r.log)
	}
	if n := len(r.gh.Requests(mintPattern)); n != 1 {
		t.Errorf("asked %d times for a token that is refused; want once in a while", n)
	}
	r.inst.SetPermissions(githubtest.DefaultPermissions())
	told := http.Header{headerEvent: {"installation"}, headerDelivery: {"accepted"}}
	if _, err := r.Events(told, fmt.Appendf(nil, `{"action":"new_permissions_accepted","installation":{"id":%d}}`, r.inst.ID)); !errors.Is(err, forge.ErrIgnored) {
		t.Errorf("the delivery: %v", err)
	}
	if err := r.post(t, r.record()); err != nil {
		t.Errorf("after it was accepted: %v", err)
	}
}
