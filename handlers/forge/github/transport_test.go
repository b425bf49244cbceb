package github

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// branch reads a branch through the client.
func (r *clientRig) branch(t *testing.T) error {
	t.Helper()
	gh, err := r.client(t.Context(), r.record(), need{"contents": "read"})
	if err != nil {
		return err
	}
	got, _, err := gh.Repositories.GetBranch(t.Context(), "acme", "shop", "main", 0)
	if err == nil && got.GetCommit().GetSHA() != r.repo.Head("refs/heads/main") {
		t.Errorf("the branch is at %s; want %s", got.GetCommit().GetSHA(), r.repo.Head("refs/heads/main"))
	}
	return err
}

const branchPattern = "GET /repos/acme/shop/branches/main"

func TestUnchangedIsFree(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	for range 3 {
		if err := r.branch(t); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.repo.Push(githubtest.Push{Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.branch(t); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, q := range r.gh.Requests(branchPattern) {
		got = append(got, q.Status)
	}
	if want := []int{200, 304, 304, 200}; len(got) != 4 || got[1] != 304 || got[2] != 304 || got[3] != 200 {
		t.Errorf("answers %v; want %v", got, want)
	}
}

// What one set of permissions may read is not kept for another.
func TestAnswersAreKeptApart(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	if err := r.branch(t); err != nil {
		t.Fatal(err)
	}
	gh, err := r.client(t.Context(), r.record(), need{"statuses": "read"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = gh.Repositories.GetBranch(t.Context(), "acme", "shop", "main", 0)
	var m missingPermission
	if !errors.As(err, &m) || m.permission != "contents: read" {
		t.Errorf("got %v; want that contents: read is missing", err)
	}
	if !strings.Contains(r.log.String(), "/organizations/acme/settings/installations/") {
		t.Errorf("the log does not say where to accept it:\n%s", r.log)
	}
	asked := r.gh.Requests(branchPattern)
	if last := asked[len(asked)-1]; last.Header.Get("If-None-Match") != "" {
		t.Error("the other token was asked whether what it may not read has changed")
	}
}

func TestGitHubInABadMinute(t *testing.T) {
	const post = "POST /repos/acme/shop/statuses/*"
	for _, test := range []struct {
		name    string
		pattern string
		times   int
		fail    githubtest.Failure
		call    func(r *clientRig, t *testing.T) error
		works   bool
		asked   int // times that fit the pattern
	}{
		{"a read before it is there", branchPattern, 2, githubtest.Lag(), (*clientRig).branch, true, 3},
		{"a read through a bad gateway", branchPattern, 2, githubtest.BadGateway(), (*clientRig).branch, true, 3},
		{"a read whose connection breaks", branchPattern, 1, githubtest.Dropped(), (*clientRig).branch, true, 2},
		{"a token through a bad gateway", mintPattern, 2, githubtest.BadGateway(), (*clientRig).branch, true, 3},
		{"a token whose answer is lost", mintPattern, 1, githubtest.LostAnswer(), (*clientRig).branch, true, 2},
		{"a write through a bad gateway", post, 1, githubtest.BadGateway(), (*clientRig).postOwn, false, 1},
		{"a write whose answer is lost", post, 1, githubtest.LostAnswer(), (*clientRig).postOwn, false, 1},
		{"a write that is told to wait a second", post, 1, githubtest.SecondaryLimit(time.Second), (*clientRig).postOwn, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newClientRig(t).withCommit(t)
			r.gh.FailNext(test.pattern, test.times, test.fail)
			if err := test.call(r, t); (err == nil) != test.works {
				t.Errorf("got %v", err)
			}
			if n := len(r.gh.Requests(test.pattern)); n != test.asked {
				t.Errorf("asked %d times; want %d", n, test.asked)
			}
		})
	}
}

func (r *clientRig) postOwn(t *testing.T) error { return r.post(t, r.record()) }

// One repository's limit is the other's, too: GitHub counts installations.
func TestLimitHoldsForTheInstallation(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	r.gh.FailNext("POST /repos/acme/shop/statuses/*", 1, githubtest.SecondaryLimit(time.Minute))
	for range 2 {
		var later builder.Later
		if err := r.postOwn(t); !errors.As(err, &later) || later.Wait <= 0 || later.Wait > time.Minute {
			t.Errorf("got %v; want builder.Later in a minute", err)
		}
	}
	var later builder.Later
	if err := r.branch(t); !errors.As(err, &later) {
		t.Errorf("with other permissions: %v; want builder.Later", err)
	}
	if n := len(r.gh.Requests("* /repos/acme/shop/**")); n != 1 {
		t.Errorf("%d requests; want none after the limit", n)
	}
	gh, err := r.appClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := gh.Apps.Get(t.Context(), ""); err != nil {
		t.Errorf("the app itself: %v; want that it has a limit of its own", err)
	}
}

// The double counts as GitHub documents it: what our budget lets through, it
// takes.
func TestBudgetFitsTheSecondaryLimits(t *testing.T) {
	r := newClientRig(t, func(o *githubtest.Options) { o.SecondaryLimits = true }).withCommit(t)
	gh, err := r.client(t.Context(), r.record(), need{"statuses": "write"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, put := 0, 0
	for range 100 {
		wg.Go(func() {
			_, _, err := gh.Repositories.CreateStatus(quota.Urgent(t.Context()), "acme", "shop", r.repo.Head("refs/heads/main"),
				&github.RepoStatus{State: github.String("pending"), Context: github.String("registry-build")})
			var later builder.Later
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case errors.As(err, &later):
				put++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != writesAMinute || put != 100-writesAMinute {
		t.Errorf("%d made, %d put off; want %d, %d", made, put, writesAMinute, 100-writesAMinute)
	}
	for _, q := range r.gh.Requests("") {
		if q.Status == http.StatusForbidden {
			t.Errorf("%s %s went over a limit: %s", q.Method, q.Path, q.Answer)
		}
	}
}

// A write to a name that leads elsewhere would arrive as a read.
func TestWriteIsNotSentOn(t *testing.T) {
	r := newClientRig(t).withCommit(t)
	gh, err := r.client(t.Context(), r.record(), need{"statuses": "write"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	r.gh.FailNext("GET /repositories/*", 9, githubtest.BadGateway())
	_, _, err = gh.Repositories.CreateStatus(t.Context(), "acme", "shop", r.repo.Head("refs/heads/main"), &github.RepoStatus{State: github.String("pending")})
	if err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v; want the error of asking for the new name", err)
	}
	for _, q := range r.gh.Requests("GET /repositories/**") {
		if strings.Contains(q.Path, "statuses") {
			t.Errorf("the write arrived as %s %s", q.Method, q.Path)
		}
	}
}
