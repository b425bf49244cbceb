package builder

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

func parseFile(t *testing.T, text string) *config.BuildFile {
	t.Helper()
	f, problems := config.ParseBuildFile(config.BuildFileName, []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return f
}

func TestPlanCarriesEvent(t *testing.T) {
	e := Event{
		ID: "git:1", Kind: BranchPushed, Ref: "refs/heads/main", Commit: sampleCommit, Actor: "ada",
		Repository: Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello"},
		Seq:        7, AcceptedAt: accepted,
	}
	f := parseFile(t, "timezone: Asia/Shanghai\nimages: [{name: api}]")
	got := Plan(PlanInput{Event: e, File: f, Generation: 3})
	want := Decision{
		EventID: "git:1",
		Builds: []Build{{
			ID: BuildID(e, "api", "branch: *"), EventID: "git:1", EventKind: BranchPushed, Repository: e.Repository,
			Image: "api", Lane: TrustedLane, Priority: PriorityBranch, Ref: e.Ref, Commit: e.Commit, Actor: "ada",
			Rule: "branch: *", Spec: Spec{Context: ".", Dockerfile: "Dockerfile"},
			Destination: "acme/hello", Tags: []string{"main-4f2c1a"}, Timezone: "Asia/Shanghai",
			Names: []string{"git:acme/hello", "acme/hello"},
			Seq:   7, Generation: 3, AcceptedAt: accepted, Lineage: "git:acme/hello|api|refs/heads/main",
		}},
		Reasons: []Reason{{Image: "api", Rule: "tag: *", Line: 2, Message: "not tried: branch: * matches first"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlanCarriesPull(t *testing.T) {
	const merge = "9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a4f2c1a0b"
	pull := &Pull{Number: 7, Author: "mallory", Head: sampleCommit, BaseBranch: "main", Fork: true, HeadOwner: "Mallory", Open: true}
	e := Event{
		ID: "github:1", Kind: PullChanged, Ref: "refs/pull/7/head", Commit: sampleCommit, Actor: "mallory", Pull: pull,
		Repository: Repository{Forge: "github", ID: "42", Owner: "acme", Name: "hello"}, Seq: 7, AcceptedAt: accepted,
	}
	f := parseFile(t, `images: [{name: api, rules: [{pullRequest: true}], triggers: [{name: audit, webhook: {url: "https://audit.example.com/"}}]}]`)
	want := Build{
		ID: BuildID(e, "api", "pullRequest: true"), EventID: "github:1", EventKind: PullChanged, Repository: e.Repository,
		Image: "api", Lane: ForkLane, Priority: PriorityPullRequest, Ref: "refs/pull/7/head", Commit: merge, ShownOn: sampleCommit,
		Pull: pull, Actor: "mallory", Rule: "pullRequest: true", Spec: Spec{Context: ".", Dockerfile: "Dockerfile"},
		Destination: "acme/hello", Timezone: "UTC", Seq: 7, Generation: 3, AcceptedAt: accepted,
		Names:   []string{"github:42", "acme/hello"},
		Lineage: "github:42|api|refs/pull/7/head",
	}
	got := Plan(PlanInput{Event: e, File: f, Generation: 3, Source: merge})
	if diff := cmp.Diff(Decision{EventID: "github:1", Builds: []Build{want}}, got); diff != "" {
		t.Error(diff)
	}
	if domain := got.Builds[0].Domain(); domain != "github:acme fork mallory" {
		t.Errorf("domain %q", domain)
	}
}

// A pull request that takes the build file away changes something, too.
func TestPlanWithoutFile(t *testing.T) {
	e := Event{Kind: PullChanged, Commit: sampleCommit, Pull: &Pull{Number: 7, Head: sampleCommit}, Repository: Repository{Owner: "acme", Name: "hello"}}
	d := Plan(PlanInput{Event: e, Base: parseFile(t, "images: [{name: api}]")})
	want := []Change{{Image: "api", Kind: ChangeRemoved, Text: "the image is not built any more"}}
	if diff := cmp.Diff(want, d.Changes); diff != "" || d.Hint == "" {
		t.Errorf("%+v\n%s", d, diff)
	}
}

func TestPlanPriorityAndLineage(t *testing.T) {
	f := parseFile(t, `images: [{name: api, rules: [{branch: "*"}, {tag: "*"}, {pullRequest: true}]}]`)
	for _, tt := range []struct {
		name     string
		event    Event
		priority Priority
		lineage  bool
	}{
		{"branch", Event{Kind: BranchPushed, Ref: "refs/heads/main"}, PriorityBranch, true},
		{"tag", Event{Kind: TagPushed, Ref: "refs/tags/v1"}, PriorityTag, false},
		{"by hand", Event{Kind: Requested, Ref: "refs/heads/main"}, PriorityCommand, false},
		{"by hand, a tag", Event{Kind: Requested, Ref: "refs/tags/v1"}, PriorityCommand, false},
		{"by hand, a commit", Event{Kind: Requested}, PriorityCommand, false},
		{"pull request", Event{Kind: PullChanged, Ref: PullRef(7), Pull: &Pull{Number: 7}}, PriorityPullRequest, true},
		{"pull request of a fork", Event{Kind: PullChanged, Ref: PullRef(7), Pull: &Pull{Number: 7, Fork: true}}, PriorityPullRequest, true},
		{"merge queue", Event{Kind: MergeQueued, Ref: "refs/heads/gh-readonly-queue/main/pr-7-4f2c1a"}, PriorityBranch, false},
		{"a branch again", Event{Kind: BranchPushed, Ref: "refs/heads/main", Request: &Request{}}, PriorityCommand, false},
		{"a tag again", Event{Kind: TagPushed, Ref: "refs/tags/v1", Request: &Request{}}, PriorityCommand, false},
		{"a pull request again", Event{Kind: PullChanged, Ref: PullRef(7), Pull: &Pull{Number: 7}, Request: &Request{}}, PriorityCommand, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := tt.event
			e.Repository, e.Commit = Repository{Forge: "git", ID: "a/b", Owner: "a", Name: "b"}, sampleCommit
			d := Plan(PlanInput{Event: e, File: f})
			if len(d.Builds) != 1 {
				t.Fatalf("%+v", d)
			}
			if b := d.Builds[0]; b.Priority != tt.priority || (b.Lineage != "") != tt.lineage {
				t.Errorf("priority %d, lineage %q", b.Priority, b.Lineage)
			}
		})
	}
}

func TestPlanWithoutCommit(t *testing.T) {
	d := Plan(PlanInput{Event: Event{Kind: Requested, Ref: "refs/heads/gone"}, File: parseFile(t, "images: [{name: api}]")})
	if len(d.Builds) != 0 || d.Failure == nil || d.Failure.Message != "branch gone names no commit" {
		t.Errorf("%+v", d)
	}
}

// A build is stored as JSON between the dispatcher and the worker.
func TestBuildSurvivesJSON(t *testing.T) {
	f := parseFile(t, `images: [{name: api, triggers: [{name: audit, tags: /^v/, webhook: {url: "https://audit.example.com/"}}]}]`)
	e := Event{Kind: TagPushed, Ref: "refs/tags/v1", Commit: sampleCommit, AcceptedAt: accepted,
		Repository: Repository{Forge: "git", ID: "a/b", Owner: "a", Name: "b"}}
	want := Plan(PlanInput{Event: e, File: f})
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Decision
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want.Builds[0].Triggers[0].Pos = config.Position{} // a place in a file is not kept
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildAt(t *testing.T) {
	b := Build{
		Timezone: "Asia/Shanghai",
		Tags:     []string{"latest", "${buildTime:yyyyMMddHHmm}", "main-${buildTime:HH:mm}", "${buildTime:yyyyMMddHHmm}"},
		Spec:     Spec{Args: map[string]string{"STAMP": "at ${buildTime:HH:mm:ss}", "PLAIN": "$HOME ${x}"}},
	}
	before, _ := json.Marshal(b)
	got := b.At(accepted)
	want := b
	want.Tags = []string{"latest", "202611220215", "main-02-15"}
	want.Spec.Args = map[string]string{"STAMP": "at 02:15:07", "PLAIN": "$HOME ${x}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if after, _ := json.Marshal(b); string(after) != string(before) {
		t.Error("the planned build was changed")
	}

	// A ref may be named like a variable; then it is a name like any other.
	odd := Build{Timezone: "Moon/Base", Tags: []string{"x-${buildTime:pp}"}}
	if diff := cmp.Diff([]string{"x---buildTime-pp-"}, odd.At(accepted).Tags); diff != "" {
		t.Error(diff)
	}
	// What is too long with the time in it ends in a hash, and is still a tag.
	long := Build{Tags: []string{strings.Repeat("a", 120) + "-${buildTime:yyyyMMddHHmm}"}}
	if tags := long.At(accepted).Tags; len(tags) != 1 || len(tags[0]) != 128 || !ValidTag(tags[0]) {
		t.Errorf("%q", tags)
	}
}

func FuzzPlan(f *testing.F) {
	for _, file := range []string{
		"images: [{name: app}]",
		`images: [{rules: [{branch: "*", tags: ["${branch}", "${buildTime}-${time:yyyy}"]}]}]`,
		`images: [{name: a, match: all, args: {V: "${refName}"}, rules: [{ref: "/refs/(?<k>.*)/", tags: ["${k}${V}"]}, {tag: "*"}]}, {name: b, repository: x.y/z}]`,
		"automatic: false\ntimezone: Asia/Shanghai\nimages: [{name: app, cache: false}]",
		`images: [{name: app, paths: [a, "!a/b"], match: all, rules: [{pullRequest: true, tags: ["n-${number}", latest]}, {pullRequest: true, args: {N: "${refName}"}}], triggers: [{name: audit, webhook: {url: "https://example.com"}}]}]`,
	} {
		for _, ref := range []string{"refs/heads/main", "refs/heads/-ü/${buildTime:x}", "refs/tags/v1", "refs/notes/x", "", "main", "refs/pull/7/head", "refs/heads/gh-readonly-queue/main/pr-7-4f"} {
			for _, how := range []byte{0, 1, 2, 4, 8, 2 + 4, 1 + 2 + 4, 1 + 2 + 16, 2 + 4 + 32, 64} {
				f.Add([]byte(file), ref, how, "a/b/c")
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, ref string, how byte, changed string) {
		parsed, problems := config.ParseBuildFile(config.BuildFileName, file)
		if len(problems) > 0 {
			return
		}
		in := PlanInput{
			Event: Event{ID: "git:1", Kind: BranchPushed, Ref: ref, Commit: sampleCommit, AcceptedAt: accepted,
				Repository: Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello"}},
			File: parsed, TagOwners: map[string]string{"acme/hello:main": "refs/heads/other"},
			Changed: []string{changed}, Compared: how&64 != 0,
		}
		fuzzEvent(&in, how)
		d := Plan(in)
		checkDecision(t, in, d)
		if diff := cmp.Diff(d, Plan(in)); diff != "" {
			t.Errorf("planned again, it differs:\n%s", diff)
		}
		for _, b := range d.Builds {
			b.At(time.Unix(1<<40, 0))
			if d := Describe(Record{Build: b, Progress: Progress{State: Succeeded}}); len([]rune(d)) > maxDescription {
				t.Errorf("description %q", d)
			}
		}
		checkChanges(t, Compare(in.Trusted, parsed, "hello"))
		if same := Compare(parsed, parsed, "hello"); len(same) > 0 {
			t.Errorf("a file differs from itself: %v", same)
		}
	})
}

// fuzzEvent makes another kind of event of a push, by the bits of how.
func fuzzEvent(in *PlanInput, how byte) {
	e := &in.Event
	if how&1 != 0 {
		e.Request = &Request{Image: "app"}
		if how&16 != 0 {
			e.Request = &Request{Images: []string{"a", "app", "a"}, Tags: []string{"v1", "-", "v1"}}
		}
	}
	switch {
	case how&2 != 0:
		e.Kind, e.Pull, in.Source = PullChanged, &Pull{Number: 7, Fork: how&4 != 0, HeadOwner: "Mallory"}, "9d8e7f6a"
		e.Ref = PullRef(7)
	case how&8 != 0:
		e.Kind = MergeQueued
	case e.Request != nil:
		e.Kind = Requested
	}
	if how&32 != 0 {
		in.Trusted = &config.BuildFile{}
		in.Paused = map[string]string{"app": "ada"}
	}
}
