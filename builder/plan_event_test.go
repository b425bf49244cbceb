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
			Seq: 7, Generation: 3, AcceptedAt: accepted, Lineage: "git:acme/hello|api|refs/heads/main",
		}},
		Reasons: []Reason{{Image: "api", Rule: "tag: *", Line: 2, Message: "not tried: branch: * matches first"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlanPriorityAndLineage(t *testing.T) {
	f := parseFile(t, "images: [{name: api}]")
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
	} {
		for _, ref := range []string{"refs/heads/main", "refs/heads/-ü/${buildTime:x}", "refs/tags/v1", "refs/notes/x", "", "main"} {
			f.Add([]byte(file), ref, false)
			f.Add([]byte(file), ref, true)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, ref string, hand bool) {
		parsed, problems := config.ParseBuildFile(config.BuildFileName, file)
		if len(problems) > 0 {
			return
		}
		e := Event{ID: "git:1", Kind: BranchPushed, Ref: ref, Commit: sampleCommit, AcceptedAt: accepted,
			Repository: Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello"}}
		if hand {
			e.Kind, e.Request = Requested, &Request{Image: "app"}
		}
		in := PlanInput{Event: e, File: parsed, TagOwners: map[string]string{"acme/hello:main": "refs/heads/other"}}
		d := Plan(in)
		checkDecision(t, in, d)
		for _, b := range d.Builds {
			b.At(time.Unix(1<<40, 0))
			if d := Describe(Record{Build: b, Progress: Progress{State: Succeeded}}); len([]rune(d)) > maxDescription {
				t.Errorf("description %q", d)
			}
		}
	})
}
