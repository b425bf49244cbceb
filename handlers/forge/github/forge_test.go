package github

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// lsRemote reads the heads at an origin with git, as the mirror does.
func lsRemote(t *testing.T, o builder.Origin) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-remote", "--heads", o.URL)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=2",
		"GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+o.Header, "GIT_CONFIG_KEY_1=http.followRedirects", "GIT_CONFIG_VALUE_1=false")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestOrigin(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *clientRig, repo *builder.Repository)
		url    string // path of it
	}{
		{"as it is", func(*testing.T, *clientRig, *builder.Repository) {}, "/acme/shop.git"},
		{"renamed, and the record is old", func(t *testing.T, r *clientRig, _ *builder.Repository) {
			if err := r.repo.Rename("store"); err != nil {
				t.Fatal(err)
			}
		}, "/acme/store.git"},
		{"renamed, and the token is old", func(t *testing.T, r *clientRig, repo *builder.Repository) {
			if _, err := r.Origin(t.Context(), *repo); err != nil {
				t.Fatal(err)
			}
			if err := r.repo.Rename("store"); err != nil {
				t.Fatal(err)
			}
			repo.Name = "store"
		}, "/acme/store.git"},
		{"renamed a while ago, and both are old", func(t *testing.T, r *clientRig, repo *builder.Repository) {
			if _, err := r.Origin(t.Context(), *repo); err != nil {
				t.Fatal(err)
			}
			if err := r.repo.Rename("store"); err != nil {
				t.Fatal(err)
			}
			later := time.Now().Add(nameHolds + time.Minute)
			r.Now = func() time.Time { return later }
		}, "/acme/store.git"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newClientRig(t).withCommit(t)
			repo := r.record()
			test.change(t, r, &repo)
			o, err := r.Origin(t.Context(), repo)
			if err != nil {
				t.Fatal(err)
			}
			if o.URL != r.gh.URL+test.url || o.Dir != "" {
				t.Errorf("origin %q, %q; want %s", o.URL, o.Dir, r.gh.URL+test.url)
			}
			heads, err := lsRemote(t, o)
			if err != nil || !strings.HasPrefix(heads, r.repo.Head("refs/heads/main")) {
				t.Errorf("git reads %q, %v; want the head", heads, err)
			}
			minted := r.gh.Requests(mintPattern)
			if got := string(minted[len(minted)-1].Body); !strings.Contains(got, `"permissions":{"contents":"read"}`) {
				t.Errorf("the token was asked with %s; want contents: read alone", got)
			}
		})
	}
}

func TestOriginOfWhatIsNotOurs(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	other, err := r.gh.AddRepo("other/shop", githubtest.RepoOptions{Private: true, Files: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, repo := range map[string]builder.Repository{
		"not installed there": {ID: strconv.FormatInt(other.ID(), 10), Owner: "other", Name: "shop"},
		"the name of ours":    {ID: strconv.FormatInt(other.ID(), 10), Owner: "acme", Name: "shop", Installation: strconv.FormatInt(r.inst.ID, 10)},
		"no id":               {ID: "acme/shop", Owner: "acme", Name: "shop"},
		"a negative id":       {ID: "-1", Owner: "acme", Name: "shop"},
	} {
		if o, err := r.Origin(t.Context(), repo); !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("%s: %q, %v; want ErrNotFound", name, o.URL, err)
		}
	}
	o, err := r.Origin(t.Context(), r.record())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(o.Header, "Authorization: Basic ") {
		t.Fatalf("header %q", o.Header)
	}
	login, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(o.Header, "Authorization: Basic "))
	if err != nil || !strings.HasPrefix(string(login), "x-access-token:ghs_") {
		t.Errorf("login %q, %v", login, err)
	}
	o.URL = other.CloneURL()
	if heads, err := lsRemote(t, o); err == nil {
		t.Errorf("the token reads another repository: %s", heads)
	}
}

func TestPull(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	base := r.repo.Head("refs/heads/main")
	head, err := r.repo.Push(githubtest.Push{User: "ada", Branch: "feature", Files: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := r.repo.OpenPull(githubtest.Pull{User: "ada", Head: "feature"})
	if err != nil {
		t.Fatal(err)
	}
	fork, err := r.repo.Fork("eve")
	if err != nil {
		t.Fatal(err)
	}
	forked, err := fork.Push(githubtest.Push{User: "eve", Branch: "patch", Files: map[string]string{"c": "d"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := r.repo.OpenPull(githubtest.Pull{User: "eve", From: fork, Head: "patch"})
	if err != nil {
		t.Fatal(err)
	}
	check := func(number int, want builder.Pull) {
		t.Helper()
		got, err := r.Pull(t.Context(), r.record(), number)
		if err != nil {
			t.Fatal(err)
		}
		if want.Open && got.Merge == "" {
			t.Errorf("#%d has no merge commit", number)
		}
		got.Merge = ""
		if want.Merged {
			got.Base = want.Base // moves with the merge, or not: nobody reads it then
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("#%d (-want +got):\n%s", number, diff)
		}
	}
	want := builder.Pull{Number: own, Author: "ada", HeadBranch: "feature", Head: head, BaseBranch: "main", Base: base, HeadOwner: "acme", Open: true}
	check(own, want)
	fromFork := builder.Pull{Number: foreign, Author: "eve", HeadBranch: "patch", Head: forked, BaseBranch: "main", Base: base, HeadOwner: "eve", Fork: true, Open: true}
	check(foreign, fromFork)

	if err := r.repo.ClosePull(own, "ada", true); err != nil {
		t.Fatal(err)
	}
	want.Open, want.Merged = false, true
	check(own, want)
	if _, err := r.Pull(t.Context(), r.record(), 999); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("one that is not there: %v; want ErrNotFound", err)
	}
}

// Of a fork that was deleted, what is left says whose it was.
func TestPullOfADeletedFork(t *testing.T) {
	text := func(s string) *string { return &s }
	whole := func() *github.PullRequest {
		return &github.PullRequest{Number: github.Int(7), State: text("open"), User: &github.User{Login: text("eve")}, MergeCommitSHA: text("m1"),
			Base: &github.PullRequestBranch{Ref: text("main"), SHA: text("b1"), Repo: &github.Repository{ID: github.Int64(1)}},
			Head: &github.PullRequestBranch{Ref: text("patch"), SHA: text("h1"), Label: text("eves-org:patch"), User: &github.User{Login: text("eves-org")}}}
	}
	want := builder.Pull{Number: 7, Author: "eve", HeadBranch: "patch", Head: "h1", BaseBranch: "main", Base: "b1", Fork: true, HeadOwner: "eves-org", Open: true}
	for _, test := range []struct {
		name   string
		change func(pr *github.PullRequest, want *builder.Pull)
	}{
		{"its owner is known", func(*github.PullRequest, *builder.Pull) {}},
		{"the label tells", func(pr *github.PullRequest, _ *builder.Pull) { pr.Head.User = nil }},
		{"nothing but the author", func(pr *github.PullRequest, want *builder.Pull) {
			pr.Head.User, pr.Head.Label, want.HeadOwner = nil, nil, "eve"
		}},
		{"mergeable", func(pr *github.PullRequest, want *builder.Pull) { pr.Mergeable, want.Merge = github.Bool(true), "m1" }},
		{"not mergeable", func(pr *github.PullRequest, _ *builder.Pull) { pr.Mergeable = github.Bool(false) }},
		{"merged", func(pr *github.PullRequest, want *builder.Pull) {
			pr.State, pr.Merged, pr.Mergeable = text("closed"), github.Bool(true), github.Bool(true)
			want.Open, want.Merged = false, true
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pr, want := whole(), want
			test.change(pr, &want)
			if diff := cmp.Diff(want, pullOf(pr)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPermission(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	for _, role := range []string{"admin", "maintain", "write", "triage", "read"} {
		r.repo.SetCollaborator("a-"+role, role)
	}
	r.gh.AddUser("stranger")
	for person, want := range map[string]builder.Permission{
		"a-admin": builder.PermissionAdmin, "a-maintain": builder.PermissionWrite, "a-write": builder.PermissionWrite,
		"a-triage": builder.PermissionRead, "a-read": builder.PermissionRead,
		"stranger": builder.PermissionNone, "nobody-of-that-name": builder.PermissionNone, "": builder.PermissionNone,
		"../../../orgs": builder.PermissionNone,
	} {
		if got, err := r.Permission(t.Context(), r.record(), person); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", person, got, err, want)
		}
	}
}

func TestProtected(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	if err := r.repo.SetRef("ada", "refs/heads/release/1.0", r.repo.Head("refs/heads/main")); err != nil {
		t.Fatal(err)
	}
	r.repo.Protect("release/1.0", true)
	for ref, want := range map[string]bool{
		"refs/heads/release/1.0": true, "refs/heads/main": false, "refs/heads/gone": false, "refs/tags/release/1.0": false, "": false,
	} {
		if got, err := r.Protected(t.Context(), r.record(), ref); err != nil || got != want {
			t.Errorf("%q: %t, %v; want %t", ref, got, err, want)
		}
	}
	r.repo.Protect("release/1.0", false)
	if got, err := r.Protected(t.Context(), r.record(), "refs/heads/release/1.0"); err != nil || got {
		t.Errorf("after the protection was taken away: %t, %v", got, err)
	}
	granted := githubtest.DefaultPermissions()
	delete(granted, "contents")
	r.inst.SetPermissions(granted)
	r.Forget(strconv.FormatInt(r.inst.ID, 10))
	if got, err := r.Protected(t.Context(), r.record(), "refs/heads/release/1.0"); err != nil || got {
		t.Errorf("without the permission to know: %t, %v; want false", got, err)
	}
}

// answers stands before GitHub and answers for it where it has an answer.
type answers func(req *http.Request) *http.Response

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if resp := a(req); resp != nil {
		resp.Request = req
		return resp, nil
	}
	return http.DefaultTransport.RoundTrip(req)
}

func replied(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// GitHub leads from the old name of a branch to the branch that had it. A
// branch that somebody pushed under the old name, and has removed since, must
// not get its protection.
func TestOldNameOfAProtectedBranch(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	r.repo.Protect("main", true)
	led := false
	r.HTTP = answers(func(req *http.Request) *http.Response {
		to, old := strings.CutSuffix(req.URL.String(), "/branches/release")
		if !old {
			return nil
		}
		led = true
		return replied(http.StatusMovedPermanently, http.Header{"Location": {to + "/branches/main"}}, "{}")
	})
	if got, err := r.Protected(t.Context(), r.record(), "refs/heads/main"); err != nil || !got {
		t.Fatalf("%t, %v; want main protected", got, err)
	}
	if got, err := r.Protected(t.Context(), r.record(), "refs/heads/release"); err != nil || got || !led {
		t.Errorf("%t, %v; want no protection for the old name", got, err)
	}
}

// An organisation calls its own roles as it likes.
func TestRoleWithAGrandName(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	r.repo.SetCollaborator("eve", "read")
	r.HTTP = answers(func(req *http.Request) *http.Response {
		if !strings.HasSuffix(req.URL.Path, "/collaborators/eve/permission") {
			return nil
		}
		return replied(http.StatusOK, nil, `{"permission":"read","role_name":"maintain"}`)
	})
	if got, err := r.Permission(t.Context(), r.record(), "eve"); err != nil || got != builder.PermissionRead {
		t.Errorf("%d, %v; want what the role comes to: read", got, err)
	}
}

// What is not known gives no authority.
func TestProtectionThatIsNotKnown(t *testing.T) {
	for status, asksAgain := range map[int]bool{http.StatusNotFound: false, http.StatusInternalServerError: true, http.StatusForbidden: true, http.StatusGone: true} {
		r := newClientRig(t).withCommit(t)
		r.repo.Protect("main", true)
		r.HTTP = answers(func(req *http.Request) *http.Response {
			if !strings.Contains(req.URL.Path, "/branches/") {
				return nil
			}
			return replied(status, nil, `{"message":"no"}`)
		})
		if got, err := r.Protected(t.Context(), r.record(), "refs/heads/main"); got || (err != nil) != asksAgain {
			t.Errorf("%d: %t, %v; want no authority, asking again: %t", status, got, err, asksAgain)
		}
	}
}

// Whoever takes an old name gives no authority to the repository that had it.
func TestAuthorityIsTheRepositorysOwn(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	if protected, err := r.Protected(t.Context(), r.record(), "refs/heads/main"); err != nil || protected {
		t.Fatal(protected, err)
	}
	if err := r.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	newcomer, err := r.gh.AddRepo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	newcomer.Protect("main", true)
	newcomer.SetCollaborator("eve", "admin")
	if protected, err := r.Protected(t.Context(), r.record(), "refs/heads/main"); err != nil || protected {
		t.Errorf("protected: %t, %v; want what holds in acme/store", protected, err)
	}
	if got, err := r.Permission(t.Context(), r.record(), "eve"); err != nil || got != builder.PermissionNone {
		t.Errorf("permission: %d, %v; want what holds in acme/store", got, err)
	}
}

func TestFind(t *testing.T) {
	r := newClientRig(t)
	if _, err := r.gh.AddRepo("other/shop", githubtest.RepoOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme/shop", "ACME/Shop"} {
		got, err := r.Find(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.record(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"acme/none", "other/shop", "nobody/none", "acme", "", "acme/shop/x", "acme/..", "a b/c", "/shop", "acme/"} {
		if got, err := r.Find(t.Context(), name); !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("%q: %v, %v; want ErrNotFound", name, got, err)
		}
	}
	r.inst.Suspend()
	if _, err := r.Find(t.Context(), "acme/shop"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("suspended: %v; want ErrNotFound", err)
	}
}
