package builder

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

var update = flag.Bool("update", false, "write the decisions of testdata/plan as they are")

const sampleCommit = "4f2c1a0b9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a"

// scene is what stands in a .in section of testdata/plan: an event, and what
// the server is set to. A file of testdata/plan has a section `file`, perhaps
// `trusted` and `base`, and for each scene NAME.in and NAME.want.
type scene struct {
	Push    string   `yaml:"push"`   // ref
	Delete  string   `yaml:"delete"` // ref
	Queue   string   `yaml:"queue"`  // branch of a merge queue
	Pull    *pull    `yaml:"pull"`   // pull request
	Request *request `yaml:"request"`
	Again   *request `yaml:"again"` // one of the events above, by hand

	Changed *[]string        `yaml:"changed"` // not there: not compared
	Last    map[string]State `yaml:"last"`
	Paused  map[string]string
	Source  string // the commit to build, where it is another

	Repository    string            `yaml:"repository"` // owner/name
	DefaultBranch string            `yaml:"defaultBranch"`
	Registry      string            `yaml:"registry"`
	Timezone      string            `yaml:"timezone"`
	Commit        string            `yaml:"commit"`
	Owners        map[string]string `yaml:"owners"`
	Policy        []struct {
		Repositories, Images, Credentials []string
	} `yaml:"policy"`
	Operators string              `yaml:"operators"` // triggers.rules of a server file
	Others    map[string][]others `yaml:"others"`    // image repository -> what other source repositories registered
	Home      Home                `yaml:"home"`
}

type others struct {
	Repository string
	Triggers   int
}

type request struct {
	Ref, Image, Dockerfile, Repository string
	NoCache                            bool `yaml:"noCache"`
	Tags, Images                       []string
}

func (r request) Request() *Request {
	return &Request{Image: r.Image, Images: r.Images, NoCache: r.NoCache, Dockerfile: r.Dockerfile, Repository: r.Repository, Tags: r.Tags}
}

type pull struct {
	Number int
	Fork   bool
}

func (s scene) input(t *testing.T) PlanInput {
	t.Helper()
	owner, name := "acme", "hello"
	if s.Repository != "" {
		owner, name = "", s.Repository
		if i := strings.LastIndex(s.Repository, "/"); i >= 0 {
			owner, name = s.Repository[:i], s.Repository[i+1:]
		}
	}
	e := Event{
		ID: "git:1", Kind: BranchPushed, Ref: s.Push, Commit: orText(s.Commit, sampleCommit), Actor: "ada",
		Repository: Repository{Forge: "git", ID: owner + "/" + name, Owner: owner, Name: name, DefaultBranch: s.DefaultBranch},
		Seq:        7, AcceptedAt: accepted,
	}
	switch {
	case s.Delete != "":
		e.Kind, e.Ref, e.Commit = BranchDeleted, s.Delete, ""
	case s.Request != nil:
		r := s.Request
		e.Kind, e.Ref = Requested, r.Ref
		e.Request = r.Request()
		if r.Dockerfile != "" {
			e.Repository, e.Commit = Repository{}, ""
		}
	}
	if s.Pull != nil {
		e.Pull = &Pull{Number: s.Pull.Number, Head: e.Commit, BaseBranch: "main", Fork: s.Pull.Fork, Open: true}
		if s.Request == nil {
			e.Kind, e.Ref = PullChanged, PullRef(s.Pull.Number)
		}
		if s.Pull.Fork {
			e.Pull.HeadOwner = "mallory"
		}
	}
	if s.Queue != "" {
		e.Kind, e.Ref = MergeQueued, s.Queue
	}
	if s.Again != nil {
		e.Request = s.Again.Request()
	}
	if strings.HasPrefix(e.Ref, "refs/tags/") {
		switch e.Kind {
		case BranchPushed:
			e.Kind = TagPushed
		case BranchDeleted:
			e.Kind = TagDeleted
		}
	}
	in := PlanInput{Event: e, Registry: s.Registry, Timezone: s.Timezone, TagOwners: s.Owners, Generation: 3,
		Last: s.Last, Paused: s.Paused, Source: s.Source}
	if s.Changed != nil {
		in.Changed, in.Compared = *s.Changed, true
	}
	for _, p := range s.Policy {
		in.Policy = append(in.Policy, config.Policy{Repositories: p.Repositories, Images: p.Images, Credentials: p.Credentials})
	}
	in.Home = s.Home
	if s.Operators != "" {
		server, problems := config.ParseServer("server.yml", []byte("clusters: [{name: prod, inCluster: true}]\ntriggers: {rules: "+s.Operators+"}"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		in.Operators = server.Operators
	}
	for destination, list := range s.Others {
		if in.Others == nil {
			in.Others = map[string][]Registration{}
		}
		for _, o := range list {
			owner, name, _ := strings.Cut(o.Repository, "/")
			in.Others[destination] = append(in.Others[destination], Registration{
				Destination: destination, Repository: Repository{Forge: "git", ID: o.Repository, Owner: owner, Name: name},
				Triggers: make([]config.Trigger, o.Triggers),
			})
		}
	}
	return in
}

func TestPlan(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { testPlanFile(t, name) })
	}
}

func testPlanFile(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	section := map[string]*txtar.File{}
	for i := range archive.Files {
		section[archive.Files[i].Name] = &archive.Files[i]
	}
	file, trusted, into := buildFile(t, section["file"]), buildFile(t, section["trusted"]), buildFile(t, section["base"])
	changed := false
	for _, f := range slices.Clone(archive.Files) {
		base, ok := strings.CutSuffix(f.Name, ".in")
		if !ok {
			continue
		}
		t.Run(base, func(t *testing.T) {
			var s scene
			decoder := yaml.NewDecoder(bytes.NewReader(f.Data))
			decoder.KnownFields(true)
			if err := decoder.Decode(&s); err != nil {
				t.Fatal(err)
			}
			in := s.input(t)
			in.File, in.Trusted, in.Base = file, trusted, into
			d := Plan(in)
			checkDecision(t, in, d)
			if diff := cmp.Diff(d, Plan(in)); diff != "" {
				t.Errorf("planned again, it differs:\n%s", diff)
			}
			got, want := render(d), section[base+".want"]
			if want == nil {
				t.Fatalf("no section %s.want", base)
			}
			if *update {
				want.Data, changed = []byte(got), true
				return
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if changed {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func buildFile(t *testing.T, f *txtar.File) *config.BuildFile {
	t.Helper()
	if f == nil {
		return nil
	}
	if len(bytes.TrimSpace(f.Data)) == 0 {
		return &config.BuildFile{Automatic: true} // the default branch has none
	}
	file, problems := config.ParseBuildFile(config.BuildFileName, f.Data)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return file
}

// checkDecision holds what is true of every decision.
func checkDecision(t *testing.T, in PlanInput, d Decision) {
	t.Helper()
	if d.EventID != in.Event.ID {
		t.Errorf("event %q of %q", d.EventID, in.Event.ID)
	}
	ids, names, lineages := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, b := range d.Builds {
		if !ValidBuildID(b.ID) || ids[b.ID] {
			t.Errorf("id %q is not valid, or there twice", b.ID)
		}
		ids[b.ID] = true
		if b.Lineage != "" && lineages[b.Lineage] {
			t.Errorf("two builds of lineage %q would supersede each other", b.Lineage)
		}
		lineages[b.Lineage] = true
		checkKind(t, in, b)
		if err := checkRepository(b.Destination); err != nil {
			t.Error(err)
		}
		for _, tag := range b.At(in.Event.AcceptedAt.Add(time.Minute)).Tags {
			if name := b.Destination + ":" + tag; !ValidTag(tag) || names[name] {
				t.Errorf("tag %q is not valid, or is put twice", tag)
			} else {
				names[name] = true
			}
		}
		if len(b.At(in.Event.AcceptedAt).Tags) != len(b.Tags) {
			t.Errorf("tags %q came out as %q", b.Tags, b.At(in.Event.AcceptedAt).Tags)
		}
	}
}

// checkKind holds what is true of every build of a kind of event.
func checkKind(t *testing.T, in PlanInput, b Build) {
	t.Helper()
	e := in.Event
	automatic := e.Request == nil && (e.Kind == BranchPushed || e.Kind == PullChanged)
	if (b.Lineage != "") != automatic {
		t.Errorf("%s has lineage %q", e.Kind, b.Lineage)
	}
	if e.ByHand() && b.Priority != PriorityCommand {
		t.Errorf("by hand, with priority %d", b.Priority)
	}
	fork := e.Pull != nil && e.Pull.Fork
	if fork && (b.Lane != ForkLane || len(b.Triggers) > 0) || !fork && b.Lane != TrustedLane {
		t.Errorf("fork %v: lane %s, triggers %v", fork, b.Lane, b.Triggers)
	}
	if fork && len(b.Spec.Secrets)+len(b.Spec.SSH) > 0 {
		t.Errorf("a fork's build has secrets: %+v", b.Spec)
	}
	for _, s := range b.Spec.Secrets {
		if err := MayUse(in.Policy, b.Names, s.Credential); err != nil {
			t.Error(err)
		}
	}
	if upload := b.Spec.Inline != ""; upload != (len(b.Names) == 0) {
		t.Errorf("names %q", b.Names)
	}
	if (fork || e.Kind == MergeQueued) && len(b.Tags) > 0 {
		t.Errorf("fork %v, %s: tags %q", fork, e.Kind, b.Tags)
	}
	if (e.Kind == PullChanged || e.Kind == MergeQueued) != (b.Rule == "pullRequest: true") {
		if _, pull := ParsePullRef(e.Ref); !pull {
			t.Errorf("%s is built by the rule %q", e.Kind, b.Rule)
		}
	}
	if b.StatusCommit() != e.Commit || in.Source != "" && b.Commit != in.Source {
		t.Errorf("commit %s, shown on %s", b.Commit, b.StatusCommit())
	}
}

// render writes a decision for people to read in a golden file. What is as it
// is for every build of an event stands in TestPlanCarriesEvent.
func render(d Decision) string {
	var b strings.Builder
	for _, x := range d.Builds {
		fmt.Fprintf(&b, "build %s -> %s\n", x.Image, x.Destination)
		if x.Lane != TrustedLane {
			fmt.Fprintf(&b, "  lane: %s, %s\n", x.Lane, x.Domain())
		}
		if x.ShownOn != "" {
			fmt.Fprintf(&b, "  commit: %s, shown on %s\n", x.Commit, x.ShownOn)
		}
		fmt.Fprintf(&b, "  rule: %s\n", orText(x.Rule, "none"))
		fmt.Fprintf(&b, "  tags: %s\n", strings.Join(x.Tags, " "))
		fmt.Fprintf(&b, "  spec: %s in %s", x.Spec.Dockerfile, x.Spec.Context)
		if x.Spec.Target != "" {
			fmt.Fprintf(&b, ", target %s", x.Spec.Target)
		}
		if len(x.Spec.Platforms) > 0 {
			fmt.Fprintf(&b, ", for %s", strings.Join(x.Spec.Platforms, " "))
		}
		if x.Spec.NoCache {
			b.WriteString(", no cache")
		}
		b.WriteString("\n")
		if x.Spec.Inline != "" {
			fmt.Fprintf(&b, "  inline: %q\n", x.Spec.Inline)
		}
		for _, name := range slices.Sorted(maps.Keys(x.Spec.Args)) {
			fmt.Fprintf(&b, "  arg: %s=%s\n", name, x.Spec.Args[name])
		}
		if s := describeSecrets(x.Spec.Secrets); s != "" {
			fmt.Fprintf(&b, "  secrets: %s\n", s)
		}
		if s := describeSSH(x.Spec.SSH); s != "" {
			fmt.Fprintf(&b, "  ssh: %s\n", s)
		}
		for _, trigger := range x.Triggers {
			fmt.Fprintf(&b, "  trigger: %s on %v for %s\n", trigger.Name, trigger.On, trigger.Tags)
		}
		for _, w := range x.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", w)
		}
	}
	for _, r := range d.Reasons {
		kind := "no build"
		if r.Error {
			kind = "error"
		}
		if r.Unchanged {
			kind = "unchanged"
		}
		for _, where := range []string{r.Image, r.Rule} {
			if where != "" {
				kind += ", " + where
			}
		}
		if r.Line > 0 {
			kind += fmt.Sprintf(", line %d", r.Line)
		}
		fmt.Fprintf(&b, "%s: %s\n", kind, r.Message)
	}
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "change: **%s** %s: %s\n", c.Image, c.Kind, c.Text)
	}
	if d.Registers {
		fmt.Fprintf(&b, "registers: %d\n", len(d.Registered))
	}
	for _, r := range d.Registered {
		var names []string
		for _, trigger := range r.Triggers {
			names = append(names, trigger.Name)
		}
		fmt.Fprintf(&b, "registered: %s for %s at %s: %s\n", r.Destination, r.Image, shortCommit(r.Commit), strings.Join(names, " "))
	}
	for _, name := range slices.Sorted(maps.Keys(d.TagOwners)) {
		fmt.Fprintf(&b, "owner: %s is %s\n", name, d.TagOwners[name])
	}
	if d.CancelRef != "" {
		fmt.Fprintf(&b, "cancel: %s\n", d.CancelRef)
	}
	if d.Failure != nil {
		fmt.Fprintf(&b, "failure: %s\n", d.Failure)
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", d.Hint)
	}
	return b.String()
}
