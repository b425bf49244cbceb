package gitlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

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
