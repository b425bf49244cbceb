package gitlab

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

func TestFind(t *testing.T) {
	f, a := served(t, map[string]string{
		"projects/acme%2Fplatform%2Fshop": sevens,
		"projects/Acme%2FPlatform%2FShop": sevens,
		"projects/acme%2Fold":             sevens, // as GitLab leads from the names of the past
		"projects/acme%2Fsite%2Eio":       `{"id":9,"path_with_namespace":"acme/site.io"}`,
		"projects/acme%2Fclosed":          `403 {"message":"403 Forbidden"}`,
	})
	want := builder.Repository{Forge: "gitlab", ID: "7", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
	for _, name := range []string{"acme/platform/shop", "Acme/Platform/Shop"} {
		if got, err := f.Find(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	if got, err := f.Find(t.Context(), "acme/site.io"); err != nil || got.ID != "9" {
		t.Errorf("a name with a dot: %+v, %v", got, err)
	}
	for name, says := range map[string]string{
		"acme/old": "acme/platform/shop now", "acme/closed": "no project", "acme/none": "no project",
		"shop": "GROUP/NAME", "": "GROUP/NAME", "acme/../shop": "GROUP/NAME", "acme/shop?x=1": "GROUP/NAME", "/acme/shop": "GROUP/NAME", "acme//shop": "GROUP/NAME",
	} {
		_, err := f.Find(t.Context(), name)
		if !errors.Is(err, builder.ErrNotFound) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want ErrNotFound with %q", name, err, says)
		}
	}
	if n := a.count("projects/acme%2Fnone"); n != 1 {
		t.Errorf("a project that is not there was asked for %d times", n)
	}
}

func TestOriginFollowsTheProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var path, failure atomic.Value
		path.Store("acme/platform/shop")
		f, err := New(Options{
			Config: config.GitLab{Name: "gitlab", URL: "https://git.example.com/gitlab", Token: "glpat-secret", CA: "", Proxy: "http://proxy.example.com:3128"},
			HTTP: tripper(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				if wait := failure.Load(); wait != nil && wait != "" {
					return says(429, "Retry later", "Retry-After: "+wait.(string))
				}
				return says(200, fmt.Sprintf(`{"id":7,"path_with_namespace":%q}`, path.Load()))
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2:glpat-secret"))
		check := func(what string, repo builder.Repository, want string, times int64) {
			t.Helper()
			got, err := f.Origin(t.Context(), repo)
			whole := builder.Origin{URL: "https://git.example.com/gitlab/" + want + ".git", Header: login, Proxy: "http://proxy.example.com:3128"}
			if diff := cmp.Diff(whole, got); diff != "" || err != nil || asked.Load() != times {
				t.Errorf("%s: %v after %d questions; want %d (-want +got):\n%s", what, err, asked.Load(), times, diff)
			}
		}
		renamed := shop()
		renamed.Owner, renamed.Name = "beta", "store"

		check("first", shop(), "acme/platform/shop", 1)
		check("again", shop(), "acme/platform/shop", 1)
		path.Store("beta/store")
		check("renamed a moment ago", shop(), "acme/platform/shop", 1)
		check("by a newer record", renamed, "beta/store", 2)
		check("by an older one", shop(), "beta/store", 3)
		check("by an older one again", shop(), "beta/store", 3)
		time.Sleep(nameHolds + time.Second)
		path.Store("gamma/store")
		check("after a while", renamed, "gamma/store", 4)
		time.Sleep(nameHolds + time.Second)
		failure.Store("60")
		check("while a limit is met", renamed, "gamma/store", 5)
		time.Sleep(nameStale)
		var later builder.Later
		if _, err := f.Origin(t.Context(), renamed); !errors.As(err, &later) {
			t.Errorf("while a limit is met, for long: %v; want builder.Later", err)
		}
	})
}

func TestOriginThatIsNone(t *testing.T) {
	f, a := served(t, map[string]string{"projects/8": `403 {"message":"403 Forbidden"}`, "projects/9": `{"id":7,"path_with_namespace":"a/b"}`})
	for _, id := range []string{"", "0", "-7", "07", "7 ", "+7", "none/none", "..", "7/../8", "99999999999999999999"} {
		repo := shop()
		repo.ID = id
		if at, err := f.Origin(t.Context(), repo); !errors.Is(err, builder.ErrNotFound) || at != (builder.Origin{}) {
			t.Errorf("origin of %q: %+v, %v; want ErrNotFound", id, at, err)
		}
	}
	if len(a.asked) > 0 {
		t.Errorf("asked for %v", a.asked)
	}
	for id, want := range map[string]error{"5": builder.ErrNotFound, "8": builder.ErrDenied} {
		repo := shop()
		repo.ID = id
		if _, err := f.Origin(once(t.Context()), repo); !errors.Is(err, want) {
			t.Errorf("origin of %s: %v; want %v", id, err, want)
		}
	}
	repo := shop()
	repo.ID = "9"
	if _, err := f.Origin(t.Context(), repo); err == nil {
		t.Error("another project's answer was taken")
	}
}

func TestPull(t *testing.T) {
	const mr = `{"iid":3,"state":%q,"sha":%s,"source_branch":"topic","target_branch":"main","source_project_id":%s,"target_project_id":7,
		"created_at":%q,"author":{"username":"ann"},"diff_refs":{"base_sha":"b1","head_sha":"h1","start_sha":"s1"}}`
	long := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, test := range []struct {
		name string
		mr   string
		want builder.Pull
	}{
		{"open", fmt.Sprintf(mr, "opened", `"h1"`, "7", long),
			builder.Pull{Open: true, HeadOwner: "acme/platform"}},
		{"being merged", fmt.Sprintf(mr, "locked", `"h1"`, "7", long),
			builder.Pull{Open: true, HeadOwner: "acme/platform"}},
		{"merged", fmt.Sprintf(mr, "merged", `"h1"`, "7", long),
			builder.Pull{Merged: true, HeadOwner: "acme/platform"}},
		{"closed", fmt.Sprintf(mr, "closed", `"h1"`, "7", long),
			builder.Pull{HeadOwner: "acme/platform"}},
		{"of a fork", fmt.Sprintf(mr, "opened", `"h1"`, "8", long),
			builder.Pull{Open: true, Fork: true, HeadOwner: "people/eve"}},
		{"of a fork that we may not see", fmt.Sprintf(mr, "opened", `"h1"`, "9", long),
			builder.Pull{Open: true, Fork: true, HeadOwner: "ann"}},
		{"of a fork that is gone", fmt.Sprintf(mr, "opened", `"h1"`, "null", long),
			builder.Pull{Open: true, Fork: true, HeadOwner: "ann"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, _ := served(t, map[string]string{
				"projects/7/merge_requests/3": test.mr,
				"projects/8":                  `{"id":8,"path_with_namespace":"people/eve/shop"}`,
			})
			test.want.Number, test.want.Author, test.want.HeadBranch, test.want.BaseBranch = 3, "ann", "topic", "main"
			test.want.Head, test.want.Base = "h1", "b1"
			got, err := f.Pull(t.Context(), shop(), 3)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}

	t.Run("commits not read yet", func(t *testing.T) {
		f, a := served(t, map[string]string{"projects/7/merge_requests/3": fmt.Sprintf(mr, "opened", "null", "7", time.Now().UTC().Format(time.RFC3339))})
		var later builder.Later
		if _, err := f.Pull(t.Context(), shop(), 3); !errors.As(err, &later) {
			t.Errorf("just opened: %v; want builder.Later", err)
		}
		a.set("projects/7/merge_requests/3", fmt.Sprintf(mr, "opened", "null", "7", long))
		if _, err := f.Pull(t.Context(), shop(), 3); !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("without any: %v; want ErrNotFound", err)
		}
	})
	t.Run("none", func(t *testing.T) {
		f, a := served(t, map[string]string{})
		for _, number := range []int{0, -1} {
			if _, err := f.Pull(t.Context(), shop(), number); !errors.Is(err, builder.ErrNotFound) {
				t.Errorf("%d: %v; want ErrNotFound", number, err)
			}
		}
		a.set("projects/7/merge_requests/5", `403 {"message":"403 Forbidden"}`)
		if _, err := f.Pull(t.Context(), shop(), 5); !errors.Is(err, builder.ErrDenied) {
			t.Errorf("closed to us: %v; want ErrDenied", err)
		}
		if _, err := f.Pull(t.Context(), shop(), 4); !errors.Is(err, builder.ErrNotFound) || a.count("projects/7/merge_requests/4") != 3 {
			t.Errorf("%v after %d questions; want ErrNotFound after 3", err, a.count("projects/7/merge_requests/4"))
		}
	})
}

// TestPullOfTheSample reads the answer that GitLab's own Go client is tested with.
func TestPullOfTheSample(t *testing.T) {
	f, _ := served(t, map[string]string{"projects/278964/merge_requests/14656": sample(t, "get_merge_request.json")})
	repo := builder.Repository{Forge: "gitlab", ID: "278964", Owner: "gitlab-org", Name: "gitlab"}
	got, err := f.Pull(t.Context(), repo, 14656)
	want := builder.Pull{
		Number: 14656, Author: "alexkalderimis", HeadBranch: "delete-designs-v2", Head: "8e0b45049b6253b8984cde9241830d2851168142",
		BaseBranch: "master", Base: "8e0b45049b6253b8984cde9241830d2851168142", HeadOwner: "gitlab-org", Open: true,
	}
	want.Base = got.Base
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(got.Base) != 40 {
		t.Errorf("%v, base %q (-want +got):\n%s", err, got.Base, diff)
	}
}

func TestPermission(t *testing.T) {
	const member = `{"id":12,"username":"ann","state":"active","access_level":%d,"expires_at":%s}`
	today := time.Now().UTC().Format(`"` + time.DateOnly + `"`)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(`"` + time.DateOnly + `"`)
	for _, test := range []struct {
		name       string
		member     string // "": none
		user       string // "": an active one
		visibility string
		want       builder.Permission
	}{
		{"owner", fmt.Sprintf(member, 50, "null"), "", "private", builder.PermissionAdmin},
		{"maintainer", fmt.Sprintf(member, 40, "null"), "", "private", builder.PermissionAdmin},
		{"developer", fmt.Sprintf(member, 30, "null"), "", "private", builder.PermissionWrite},
		{"developer until tomorrow", fmt.Sprintf(member, 30, tomorrow), "", "private", builder.PermissionWrite},
		{"developer until today", fmt.Sprintf(member, 30, today), "", "private", builder.PermissionNone},
		{"developer until today, open to all", fmt.Sprintf(member, 30, today), "", "public", builder.PermissionRead},
		{"reporter", fmt.Sprintf(member, 20, "null"), "", "private", builder.PermissionRead},
		{"planner", fmt.Sprintf(member, 15, "null"), "", "private", builder.PermissionRead},
		{"guest", fmt.Sprintf(member, 10, "null"), "", "private", builder.PermissionRead},
		{"minimal access", fmt.Sprintf(member, 5, "null"), "", "private", builder.PermissionNone},
		{"nobody", "", "", "private", builder.PermissionNone},
		{"nobody, open to all", "", "", "public", builder.PermissionRead},
		{"nobody, open to all who sign in", "", "", "internal", builder.PermissionRead},
		{"a blocked developer", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"ann","state":"blocked"}]`, "public", builder.PermissionNone},
		{"a member who is blocked", strings.Replace(fmt.Sprintf(member, 30, "null"), "active", "blocked", 1), "", "public", builder.PermissionNone},
		{"a membership that nobody has let in", strings.Replace(fmt.Sprintf(member, 30, "null"), "{", `{"membership_state":"awaiting",`, 1), "", "public", builder.PermissionNone},
		{"not called so", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"annabel","state":"active"}]`, "public", builder.PermissionNone},
		{"called so by nobody", fmt.Sprintf(member, 30, "null"), `[]`, "public", builder.PermissionNone},
		{"called so in other letters", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"Ann","state":"active"}]`, "private", builder.PermissionWrite},
	} {
		t.Run(test.name, func(t *testing.T) {
			says := map[string]string{
				"projects/7":         strings.Replace(sevens, "private", test.visibility, 1),
				"users?username=ann": `[{"id":12,"username":"ann","state":"active"}]`,
			}
			if test.member != "" {
				says["projects/7/members/all/12"] = test.member
			}
			if test.user != "" {
				says["users?username=ann"] = test.user
			}
			f, a := served(t, says)
			got, err := f.Permission(t.Context(), shop(), "ann")
			if err != nil || got != test.want {
				t.Errorf("%d, %v; want %d", got, err, test.want)
			}
			if n := a.count("projects/7/members/all/12"); n > 1 {
				t.Errorf("asked for the member %d times: that there is none is an answer", n)
			}
		})
	}

	f, a := served(t, map[string]string{"users?username=ann": `500 {"message":"500"}`})
	for _, person := range []string{"", "ann bee", "../ann", "ann/x", "-ann", strings.Repeat("a", 256)} {
		if got, err := f.Permission(t.Context(), shop(), person); err != nil || got != builder.PermissionNone {
			t.Errorf("%q: %d, %v; want none", person, got, err)
		}
	}
	if len(a.asked) > 0 {
		t.Errorf("asked for %v", a.asked)
	}
	if _, err := f.Permission(t.Context(), shop(), "ann"); err == nil {
		t.Error("a server that fails has answered")
	}
}

func TestProtected(t *testing.T) {
	f, a := served(t, map[string]string{
		"projects/7/repository/branches/main":          `{"name":"main","protected":true}`,
		"projects/7/repository/branches/open":          `{"name":"open","protected":true,"developers_can_push":true}`,
		"projects/7/repository/branches/topic":         `{"name":"topic","protected":false}`,
		"projects/7/repository/branches/rel%2F1%2E2":   `{"name":"rel/1.2","protected":true}`,
		"projects/7/repository/branches/a%20b%3Fc%23d": `{"name":"a b?c#d","protected":true}`,
		"projects/7/repository/branches/other":         `{"name":"main","protected":true}`,
		"projects/7/repository/branches/closed":        `403 {"message":"403 Forbidden"}`,
	})
	for ref, want := range map[string]bool{
		"refs/heads/main": true, "refs/heads/open": false, "refs/heads/topic": false, "refs/heads/rel/1.2": true, "refs/heads/a b?c#d": true,
		"refs/heads/other": false, "refs/heads/closed": false, "refs/heads/": false, "refs/tags/v1": false, "main": false, "refs/heads/gone": false,
	} {
		if got, err := f.Protected(once(t.Context()), shop(), ref); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", ref, got, err, want)
		}
	}
	a.set("projects/7/repository/branches/main", `500 {}`)
	if _, err := f.Protected(t.Context(), shop(), "refs/heads/main"); err == nil {
		t.Error("a server that fails has answered")
	}
}

// sample is a file of the answers that GitLab's own Go client is tested with.
func sample(t *testing.T, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gitlab.com/gitlab-org/api/client-go").Output()
	if err != nil {
		t.Fatalf("go list: %v; get the module: go mod download gitlab.com/gitlab-org/api/client-go", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
