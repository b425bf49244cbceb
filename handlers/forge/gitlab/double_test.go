package gitlab

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// askRig is a Forge and a GitLab of its own with the project
// acme/platform/shop, whose access token it has.
type askRig struct {
	*Forge
	server  *gitlabtest.Server
	project *gitlabtest.Project
	token   *gitlabtest.Token
}

func newAskRig(t *testing.T, change ...func(*gitlabtest.Options)) *askRig {
	t.Helper()
	s := gitlabtest.New(t, change...)
	p, err := s.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	if err != nil {
		t.Fatal(err)
	}
	token := p.CreateToken(gitlabtest.TokenOptions{Name: "builds"})
	return &askRig{Forge: connected(t, config.GitLab{URL: s.URL, Token: token.Value}), server: s, project: p, token: token}
}

func (r *askRig) record() builder.Repository {
	return builder.Repository{Forge: "gitlab", ID: strconv.FormatInt(r.project.ID(), 10), Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
}

func TestDoubleIsAsked(t *testing.T) {
	for _, below := range []string{"", "/git/lab"} {
		r := newAskRig(t, func(o *gitlabtest.Options) { o.RelativeURL = below })
		got, err := r.Find(t.Context(), "acme/platform/shop")
		if diff := cmp.Diff(r.record(), got); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		account, err := r.Check(t.Context())
		want := Account{Username: r.token.Username, Name: "builds", Bot: true, Scopes: []string{"api"}, Version: "18.5.0-ee"}
		if diff := cmp.Diff(want, account, cmpopts.IgnoreFields(Account{}, "ID", "ExpiresAt")); diff != "" || err != nil || account.ExpiresAt.IsZero() {
			t.Errorf("%v, until %s (-want +got):\n%s", err, account.ExpiresAt, diff)
		}
		for _, path := range []string{"shop", "store", "boutique"} { // renamed under its record
			if err := r.project.Rename(path); err != nil {
				t.Fatal(err)
			}
			record := r.record()
			record.Name = path
			at, err := r.Origin(t.Context(), record)
			if err != nil || !strings.HasSuffix(at.URL, below+"/acme/platform/"+path+".git") {
				t.Fatalf("origin %s, %v; want that of %s", at.URL, err, path)
			}
			git := exec.CommandContext(t.Context(), "git", "ls-remote", at.URL, "HEAD")
			git.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+at.Header)
			if out, err := git.CombinedOutput(); err != nil || len(out) < 40 {
				t.Errorf("git ls-remote: %v\n%s", err, out)
			}
		}
	}
}

func TestDoubleRefusesTokens(t *testing.T) {
	r := newAskRig(t)
	for _, test := range []struct {
		name  string
		token gitlabtest.TokenOptions
		then  func(*gitlabtest.Token)
		want  string // "": it is good
	}{
		{"api", gitlabtest.TokenOptions{}, nil, ""},
		{"read only", gitlabtest.TokenOptions{Scopes: []string{"read_api", "read_repository"}}, nil, "has read_api, read_repository; it needs api"},
		{"repositories only", gitlabtest.TokenOptions{Scopes: []string{"write_repository"}}, nil, "has write_repository; it needs api"},
		{"revoked", gitlabtest.TokenOptions{}, (*gitlabtest.Token).Revoke, "revoked"},
		{"expired", gitlabtest.TokenOptions{Expires: time.Now().Add(-48 * time.Hour)}, nil, "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := r.project.CreateToken(test.token)
			if test.then != nil {
				test.then(token)
			}
			_, err := connected(t, config.GitLab{URL: r.server.URL, Token: token.Value}).Check(t.Context())
			var unusable *Unusable
			if errors.As(err, &unusable) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
	_, err := connected(t, config.GitLab{URL: r.server.URL + "/elsewhere", Token: r.token.Value}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "write the address of GitLab's website") {
		t.Errorf("a path too many: %v", err)
	}
}

func TestDoubleTellsPermissions(t *testing.T) {
	r := newAskRig(t)
	for name, level := range map[string]gitlabtest.Level{"max": gitlabtest.Maintainer, "dev": gitlabtest.Developer, "rex": gitlabtest.Reporter, "gus": gitlabtest.Guest, "blo": gitlabtest.Developer} {
		r.server.AddUser(name)
		r.project.SetMember(name, level)
	}
	r.server.AddUser("nobody")
	r.server.AddAdmin("admin")
	r.server.AddUser("late")
	r.project.SetMemberUntil("late", gitlabtest.Developer, time.Now().Add(-24*time.Hour))
	r.server.AddUser("above")
	if err := r.server.SetGroupMember("acme", "above", gitlabtest.Owner); err != nil {
		t.Fatal(err)
	}
	r.server.Block("blo")
	check := func(want map[string]builder.Permission) {
		t.Helper()
		for name, permission := range want {
			if got, err := r.Permission(t.Context(), r.record(), name); err != nil || got != permission {
				t.Errorf("%s: %d, %v; want %d", name, got, err, permission)
			}
		}
	}
	check(map[string]builder.Permission{
		"max": builder.PermissionAdmin, "dev": builder.PermissionWrite, "DEV": builder.PermissionWrite, "rex": builder.PermissionRead, "gus": builder.PermissionRead,
		"above": builder.PermissionAdmin, "late": builder.PermissionNone, "blo": builder.PermissionNone, "nobody": builder.PermissionNone,
		"admin": builder.PermissionNone, "unheard.of": builder.PermissionNone,
	})
	for _, group := range []string{"acme", "acme/platform"} {
		if _, err := r.server.AddGroup(group, "public"); err != nil {
			t.Logf("group %s: %v", group, err)
		}
	}
	r.project.SetVisibility("public")
	check(map[string]builder.Permission{"nobody": builder.PermissionRead, "blo": builder.PermissionNone, "dev": builder.PermissionWrite})
}

func TestDoubleTellsBranches(t *testing.T) {
	r := newAskRig(t)
	for _, branch := range []string{"rel/1.2", "topic"} {
		if _, err := r.project.Push(gitlabtest.Push{Branch: branch, Files: map[string]string{"a": branch}}); err != nil {
			t.Fatal(err)
		}
	}
	r.project.Protect("rel/1.2", true)
	for ref, want := range map[string]bool{"refs/heads/rel/1.2": true, "refs/heads/topic": false, "refs/heads/none": false} {
		if got, err := r.Protected(once(t.Context()), r.record(), ref); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", ref, got, err, want)
		}
	}
}

// TestDoubleTellsReviews goes through a merge request of the project, one of a
// fork, and what people write on them and on a commit.
func TestDoubleTellsReviews(t *testing.T) {
	r := newAskRig(t)
	for _, name := range []string{"dev", "eve"} {
		r.server.AddUser(name)
		r.project.SetMember(name, gitlabtest.Developer)
	}
	fork, err := r.project.Fork("eve")
	if err != nil {
		t.Fatal(err)
	}
	own, err := r.project.Push(gitlabtest.Push{User: "dev", Branch: "topic", Files: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := fork.Push(gitlabtest.Push{User: "eve", Branch: "mine", Files: map[string]string{"a": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.project.OpenMerge(gitlabtest.MergeOptions{User: "dev", Source: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.project.OpenMerge(gitlabtest.MergeOptions{User: "eve", From: fork, Source: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	want := []builder.Pull{
		{Number: first.IID(), Author: "dev", HeadBranch: "topic", Head: own, BaseBranch: "main", HeadOwner: "acme/platform", Open: true},
		// The token's bot is no member of eve's project, so her name stands for its owner.
		{Number: second.IID(), Author: "eve", HeadBranch: "mine", Head: foreign, BaseBranch: "main", HeadOwner: "eve", Fork: true, Open: true},
	}
	got, err := r.OpenPulls(t.Context(), r.record())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, w := range want {
		one, err := r.Pull(t.Context(), r.record(), w.Number)
		if diff := cmp.Diff(w, one, cmpopts.IgnoreFields(builder.Pull{}, "Base")); diff != "" || err != nil || len(one.Base) != 40 {
			t.Errorf("!%d: %v, base %q (-want +got):\n%s", w.Number, err, one.Base, diff)
		}
	}

	since := time.Now().Add(-time.Minute)
	var ids []string
	note := func(n gitlabtest.Note, err error) gitlabtest.Note {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, n := range []gitlabtest.Note{
		note(first.Comment("dev", "/build api")), note(second.Comment("eve", "/help")), note(r.project.CommentCommit("dev", own, "/why")),
	} {
		ids = append(ids, strconv.FormatInt(n.ID, 10))
	}
	note(first.Comment("dev", "looks good"))
	note(first.Comment(r.token.Username, "/build as a bot"))
	comments, err := r.Comments(t.Context(), r.record(), since)
	if err != nil || len(comments) != 3 {
		for _, q := range r.server.Requests("GET /projects/**") {
			t.Log(q.Path, q.Query, q.Status)
		}
		t.Fatalf("%d comments, %v; want 3", len(comments), err)
	}
	for i, w := range []struct {
		actor, commit, body string
		pull                int
	}{{"dev", "", "/build api", first.IID()}, {"eve", "", "/help", second.IID()}, {"dev", own, "/why", 0}} {
		e := comments[i]
		if e.ID != "gitlab:note-"+e.Repository.ID+"-"+ids[i] || e.Actor != w.actor || e.Commit != w.commit || e.Command.Pull != w.pull || e.Command.Body != w.body || e.Command.Comment != ids[i] {
			t.Errorf("comment %d: %+v, %+v; want %+v", i, e, e.Command, w)
		}
	}

	if err := first.Accept("dev"); err != nil {
		t.Fatal(err)
	}
	if err := second.Close("eve"); err != nil {
		t.Fatal(err)
	}
	fork.Remove()
	if p, err := r.Pull(t.Context(), r.record(), first.IID()); err != nil || !p.Merged || p.Open {
		t.Errorf("merged: %+v, %v", p, err)
	}
	if p, err := r.Pull(t.Context(), r.record(), second.IID()); err != nil || p.Merged || p.Open || !p.Fork || p.HeadOwner != "eve" {
		t.Errorf("closed, of a fork that is gone: %+v, %v", p, err)
	}
	if got, err := r.OpenPulls(t.Context(), r.record()); err != nil || len(got) != 0 {
		t.Errorf("still open: %v, %v", got, err)
	}
}

func TestDoubleInABadMinute(t *testing.T) {
	r := newAskRig(t)
	path := "/projects/" + r.record().ID
	for _, test := range []struct {
		name  string
		times int
		fail  gitlabtest.Failure
		works bool
		asked int
	}{
		{"not there yet", 2, gitlabtest.Lag(), true, 3},
		{"not there", 3, gitlabtest.Lag(), false, 3},
		{"a bad gateway", 2, gitlabtest.BadGateway(), true, 3},
		{"maintenance", 3, gitlabtest.Unavailable(), false, 3},
		{"a lost connection", 1, gitlabtest.Dropped(), true, 2},
		{"told to wait a second", 1, gitlabtest.TooManyRequests(time.Second), true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(r.server.Requests("GET " + path))
			r.server.FailNext("GET "+path, test.times, test.fail)
			_, err := r.Forge.project(t.Context(), int(r.project.ID()))
			if asked := len(r.server.Requests("GET "+path)) - before; (err == nil) != test.works || asked != test.asked {
				t.Errorf("%v after %d requests; want %d", err, asked, test.asked)
			}
		})
	}
}

// What our budget lets through the server takes, and the rest is put off.
func TestDoubleLimitsRequests(t *testing.T) {
	r := newAskRig(t, func(o *gitlabtest.Options) { o.RateLimit = 40 })
	var all sync.WaitGroup
	var mu sync.Mutex
	made, put := 0, 0
	for range 100 {
		all.Go(func() {
			_, err := r.Forge.project(t.Context(), int(r.project.ID()))
			var later builder.Later
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case errors.As(err, &later) && later.Wait <= time.Minute+quota.Slack:
				put++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made == 0 || made > 40 || made+put != 100 {
		t.Errorf("%d made, %d put off; want about 38 made", made, put)
	}
	for _, q := range r.server.Requests("") {
		if q.Status == http.StatusTooManyRequests {
			t.Errorf("%s %s went over the limit", q.Method, q.Path)
		}
	}
}
