package gitlab

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestAdmit: an owner of a group may have its webhook tell anything; it is
// taken of the group's projects only, and only by the token of a group.
func TestAdmit(t *testing.T) {
	s := gitlabtest.New(t)
	var ids []string
	for _, path := range []string{"acme/shop", "acme/platform/api", "acme-evil/shop", "other/shop", "acme-evil/below/x"} {
		p, err := s.AddProject(path, gitlabtest.ProjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strconv.FormatInt(p.ID(), 10))
	}
	moving, err := s.Project("acme/shop")
	if err != nil {
		t.Fatal(err)
	}
	group, err := s.AddGroup("acme", "private")
	if err != nil {
		t.Fatal(err)
	}
	var ahead time.Duration
	f, err := New(Options{Config: config.GitLab{Name: "lab", URL: s.URL, Token: s.AddAdmin("builds")}, Secrets: secretsOf{"s"}, Memory: forgetest.NewMemory(),
		Now: func() time.Time { return time.Now().Add(ahead) }})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(token, id string) error {
		events := []builder.Event{{ID: "lab:1", Repository: builder.Repository{Forge: "lab", ID: id, Owner: "acme", Name: "claimed"}}}
		return f.Admit(t.Context(), http.Header{"X-Gitlab-Token": {token}}, events)
	}
	ofGroup := hookToken("s", "lab", scope{Kind: scopeGroup, ID: int(group)})
	for _, tt := range []struct {
		name, token, id string
		refused         bool
	}{
		{"in the group", ofGroup, ids[0], false},
		{"in a group below", ofGroup, ids[1], false},
		{"in a group that is called nearly so", ofGroup, ids[2], true},
		{"elsewhere", ofGroup, ids[3], true},
		{"nowhere", ofGroup, "987654", true},
		{"a project's webhook is held to its project before", hookToken("s", "lab", scope{Kind: scopeProject, ID: 1}), ids[3], false},
		{"the operator's", "a secret of the operator's", ids[3], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Requests("GET /**"))
			for range 2 {
				if err := admit(tt.token, tt.id); errors.Is(err, forge.ErrSignature) != tt.refused || !tt.refused && err != nil {
					t.Errorf("%v, want refused: %v", err, tt.refused)
				}
			}
			if n := len(s.Requests("GET /**")) - before; n > 2 {
				t.Errorf("%d calls for two deliveries", n)
			}
		})
	}
	gone := builder.Event{ID: "lab:2", Withdrawn: true, Repository: builder.Repository{Forge: "lab", ID: "987654", Owner: "acme", Name: "gone"}}
	if err := f.Admit(t.Context(), http.Header{"X-Gitlab-Token": {ofGroup}}, []builder.Event{gone}); err != nil {
		t.Errorf("a project of the group that is gone: %v", err) // GitLab would switch the webhook off
	}
	if err := moving.Transfer("acme-evil/below"); err != nil {
		t.Fatal(err)
	}
	ahead = admittedFor + time.Second
	if err := admit(ofGroup, ids[0]); !errors.Is(err, forge.ErrSignature) {
		t.Errorf("a project that has left the group: %v", err)
	}
	ahead *= 3
	s.FailNext("GET /projects/*", 10, gitlabtest.BadGateway())
	if err := admit(ofGroup, ids[0]); !errors.Is(err, builder.ErrUnavailable) || errors.Is(err, forge.ErrSignature) {
		t.Errorf("while GitLab is away: %v", err)
	}
}
