package builder_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
)

// hash makes a whole commit of a few digits.
func hash(digits string) string { return (digits + strings.Repeat("0", 40))[:40] }

const townFile = `version: 1
images:
  - name: api
    rules: [{branch: main, tags: [latest]}, {pullRequest: true, tags: ["pr-${number}"]}, {tag: "v*", tags: ["${tag}"]}]
    triggers: [{name: prod, webhook: {url: "https://example.com/hook"}}]
  - name: web
    rules: [{branch: main, tags: [latest]}, {pullRequest: true}]
`

// town is a lab with a forge: branch main at a0, pull request 7 of the same
// repository at 70, and 8 of a fork at 80. Ada may write, rob may read.
type town struct {
	*lab
	comments int
}

func newTown(t *testing.T) *town {
	l := &town{lab: newLab(t, store.Options{})}
	l.forge = &labForge{
		pulls: map[int]builder.Pull{
			7: {Author: "ada", HeadBranch: "feature", Head: hash("70"), BaseBranch: "main", Base: hash("a0"), Open: true},
			8: {Author: "eve", HeadBranch: "main", Head: hash("80"), BaseBranch: "main", Base: hash("a0"), Open: true, Fork: true, HeadOwner: "eve"},
		},
		people:    map[string]builder.Permission{"ada": builder.PermissionWrite, "rob": builder.PermissionRead},
		protected: map[string]bool{},
	}
	l.file("a0", "", townFile)
	l.file("70", "a0", townFile)
	l.file("80", "a0", townFile)
	l.refs["refs/heads/main"] = hash("a0")
	return l
}

// file adds a commit with a build file.
func (l *town) file(commit, parent, text string) {
	if parent != "" {
		parent = hash(parent)
	}
	l.commit(hash(commit), parent, commit)
	l.commits[hash(commit)][".registry-build.yml"] = text
}

// pulled tells that the pull request stands at the commit, and decides it.
func (l *town) pulled(ctx context.Context, number int, commit string) builder.Decision {
	l.t.Helper()
	p := l.forge.pulls[number]
	p.Number, p.Head = number, hash(commit)
	l.forge.pulls[number] = p
	l.comments++
	return l.decide(ctx, builder.Event{
		ID: fmt.Sprintf("git:pull-%d", l.comments), Kind: builder.PullChanged, Ref: builder.PullRef(number), Commit: hash(commit), Pull: &p, Actor: p.Author,
	})
}

// comment writes a line on a pull request and decides it.
func (l *town) comment(ctx context.Context, pull int, who, line string) builder.Decision {
	l.t.Helper()
	return l.command(ctx, builder.Event{Actor: who}, pull, line)
}

// remark writes a line at a commit.
func (l *town) remark(ctx context.Context, commit, who, line string) builder.Decision {
	l.t.Helper()
	return l.command(ctx, builder.Event{Actor: who, Commit: hash(commit)}, 0, line)
}

func (l *town) command(ctx context.Context, e builder.Event, pull int, line string) builder.Decision {
	l.t.Helper()
	c, ok := builder.ParseCommand(line)
	if !ok {
		l.t.Fatalf("%q is no command", line)
	}
	c.Source, c.Pull, c.Comment = builder.FromComment, pull, "1"
	e.Command = &c
	return l.press(ctx, e)
}

// press decides a command that is no comment's.
func (l *town) press(ctx context.Context, e builder.Event) builder.Decision {
	l.t.Helper()
	l.comments++
	e.ID, e.Kind = fmt.Sprintf("git:command-%d", l.comments), builder.Commanded
	d := l.decide(ctx, e)
	if d.Answer == nil {
		l.t.Fatalf("%+v has no answer: %+v", *e.Command, d)
	}
	for _, b := range d.Builds {
		if b.EventID != e.ID || b.Actor != e.Actor || b.Priority != builder.PriorityCommand && e.Command.Name != builder.CommandOkToBuild {
			l.t.Errorf("build of event %q by %q with priority %d; want %q, %q", b.EventID, b.Actor, b.Priority, e.ID, e.Actor)
		}
	}
	return d
}

// lines is what a decision comes to, a line for each build.
func lines(d builder.Decision) []string {
	var out []string
	for _, b := range d.Builds {
		line := fmt.Sprintf("%s %s %s %s", b.Lane, b.Image, strings.TrimPrefix(b.Ref, "refs/"), strings.TrimRight(b.Commit, "0"))
		if b.ShownOn != "" {
			line += " shown on " + strings.TrimRight(b.ShownOn, "0")
		}
		if len(b.Tags) > 0 {
			line += " tags " + strings.Join(b.Tags, ",")
		}
		if len(b.Triggers) > 0 {
			line += fmt.Sprintf(" %d triggers", len(b.Triggers))
		}
		if b.Spec.NoCache {
			line += " no cache"
		}
		out = append(out, line)
	}
	return out
}

// want compares an answer, whose first line is "no" for a refusal, and builds.
func want(t *testing.T, d builder.Decision, answer string, builds ...string) {
	t.Helper()
	got := d.Answer.Text
	if d.Answer.Refused {
		got = "no: " + got
	}
	if diff := cmp.Diff(answer, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(builds, lines(d)); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
}

// Whoever may not use a command is told so, and whoever may not read the
// repository is told nothing.
func TestWhoMayCommand(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	for line, needs := range map[string]string{
		"/build": "build", "/rebuild": "rebuild", "/cancel": "cancel", "/ok-to-build " + hash("80"): "ok-to-build",
		"/promote v1": "promote", "/pause": "pause", "/resume": "resume",
	} {
		want(t, l.comment(ctx, 8, "rob", line), "no: `/"+needs+"` is for people who can write to `acme/hello`, and `rob` can only read it.")
		want(t, l.comment(ctx, 8, "eve", line), "no: ")
	}
	for _, line := range []string{"/status", "/why", "/help", "/biuld", "/promote"} {
		want(t, l.comment(ctx, 8, "eve", line), "no: ")
		want(t, l.comment(ctx, 8, "", line), "no: ")
	}
	want(t, l.comment(ctx, 7, "rob", "/promote"), "no: `/promote` needs a tag: `/promote [image] TAG`, like `/promote api v1.2`")
	button := builder.Event{Actor: "rob", Commit: hash("70"), Command: &builder.Command{Source: builder.FromButton, Name: builder.CommandRebuild}}
	want(t, l.press(ctx, button), "no: `/rebuild` is for people who can write to `acme/hello`, and `rob` can only read it.")
	unknown := builder.Event{Actor: "ada", Commit: hash("70"), Command: &builder.Command{Source: builder.FromButton, Name: "explode"}}
	want(t, l.press(ctx, unknown), "no: There is no command `/explode`: `/help` shows all.")
	l.forge = nil
	want(t, l.comment(ctx, 7, "ada", "/build"), "no: Commands do not work here: this forge does not say who may write to a repository.")
}

func TestCommandsOnClosedPullRequests(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	p := l.forge.pulls[7]
	p.Open = false
	l.forge.pulls[7] = p
	want(t, l.comment(ctx, 7, "ada", "/build"), "no: Pull request 7 is closed, so nothing is built for it and `/build` has nothing to act on; `/status` and `/why` still work. Open it again first, or write the command at a commit.")
	want(t, l.comment(ctx, 7, "ada", "/status"), "Nothing was built of `700000`; `/why` tells why.")
	want(t, l.comment(ctx, 7, "ada", "/why"), "No push that ended at `700000` is known, so nothing was decided on it.")
	want(t, l.comment(ctx, 9, "ada", "/why"), "no: There is no pull request 9 any more.")
}

func TestBuildByHand(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("b0", "a0", townFile)
	l.refs["refs/heads/other"], l.refs["refs/tags/v1"] = hash("b0"), hash("a0")
	l.refs["refs/pull/8/head"] = hash("80")
	for _, test := range []struct{ name, line, answer, builds string }{
		{"the head of the pull request", "/build", "Building 2 images at `700000`:\n\n- `api`, tag `pr-7`\n- `web`",
			"trusted api pull/7/head 7 tags pr-7 1 triggers;trusted web pull/7/head 7"},
		{"one image without the cache", "/build web no-cache", "Building `web` at `700000`.", "trusted web pull/7/head 7 no cache"},
		{"an image that is not there", "/build ap", "no: Nothing is built.\n\n- `ap`: `no image \"ap\" in .registry-build.yml; did you mean \"api\"?`", ""},
		{"a branch", "/build api --ref main", "Building `api` at `a00000`, tag `latest`.", "trusted api heads/main a tags latest 1 triggers"},
		{"a branch, whole", "/build api --ref refs/heads/main", "Building `api` at `a00000`, tag `latest`.", "trusted api heads/main a tags latest 1 triggers"},
		{"a tag", "/build api --ref v1", "Building `api` at `a00000`, tag `v1`.", "trusted api tags/v1 a tags v1 1 triggers"},
		{"a branch without a rule", "/build api --ref other", "no: Nothing is built.\n\n- `api`: `no rule matches branch other`\n- `api`, rule `branch: main`: `branch other does not match`\n- `api`, rule `pullRequest: true`: `it is for pull requests, and this is branch other`\n- `api`, rule `tag: v*`: `it is for tags, and this is branch other`", ""},
		{"a ref that is not there", "/build --ref nowhere", "no: There is no branch and no tag `nowhere` in `acme/hello`.", ""},
		{"a fork's ref", "/build --ref refs/pull/8/head", "no: `refs/pull/8/head` is neither a branch nor a tag: `--ref` takes a name like `main`, or a ref below `refs/heads/` or `refs/tags/`.", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var builds []string
			if test.builds != "" {
				builds = strings.Split(test.builds, ";")
			}
			want(t, l.comment(ctx, 7, "ada", test.line), test.answer, builds...)
		})
	}
}

// What is built by hand counts the ref's force pushes, so that its tags do
// not stay behind, and moves no head.
func TestBuildByHandKnowsTheGeneration(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("b0", "", townFile)
	l.push(ctx, "refs/heads/main", "", hash("a0"))
	l.push(ctx, "refs/heads/main", hash("a0"), hash("b0"))
	d := l.comment(ctx, 7, "ada", "/build api --ref main")
	if len(d.Builds) != 1 || d.Builds[0].Generation != 2 || d.Head != nil || d.Builds[0].Lineage != "" {
		t.Errorf("%+v; want a build of generation 2, without a lineage and a head", d)
	}
	l.file("71", "", townFile)
	l.pulled(ctx, 7, "70")
	l.pulled(ctx, 7, "71")
	d = l.comment(ctx, 7, "ada", "/build api")
	if len(d.Builds) != 1 || d.Builds[0].Generation != 2 {
		t.Errorf("%+v; want a build of generation 2", d)
	}
}

// A forge shows a fork's commit at the repository's address: it must not be
// built with the repository's rights.
func TestCommandsAtCommits(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	stranger := "no: `800000` is not in branch `main`, and no push that this installation has built ended at it: it may be a fork's, and must not be built with the rights of `acme/hello`. Write `/%s` on its pull request, or `/build --ref BRANCH`."
	want(t, l.remark(ctx, "80", "ada", "/build"), fmt.Sprintf(stranger, "build"))
	want(t, l.remark(ctx, "80", "ada", "/promote v1"), fmt.Sprintf(stranger, "promote"))
	l.comment(ctx, 8, "ada", "/ok-to-build "+hash("80")) // which makes builds of it, in the fork lane
	want(t, l.remark(ctx, "80", "ada", "/build"), fmt.Sprintf(stranger, "build"))
	want(t, l.remark(ctx, "80", "ada", "/promote v1"), fmt.Sprintf(stranger, "promote"))
	want(t, l.remark(ctx, "a0", "ada", "/build api"), "Building `api` at `a00000`, tag `a00000`.", "trusted api  a tags a00000 1 triggers")
	want(t, l.remark(ctx, "a0", "ada", "/promote api v1.2"), "Promoting `api` at `a00000`, tag `v1.2`.", "trusted api  a tags v1.2 1 triggers")
	l.pulled(ctx, 7, "70") // a commit that is not merged, and ours
	want(t, l.remark(ctx, "70", "ada", "/build web"), "Building `web` at `700000`, tag `700000`.", "trusted web  7 tags 700000")
	want(t, l.remark(ctx, "a0", "ada", "/ok-to-build "+hash("a0")), "no: `/ok-to-build` belongs on a pull request, and this is a commit.")
	want(t, l.command(ctx, builder.Event{Actor: "ada"}, 0, "/build"), "no: `/build` stands at no commit and no pull request.")
}

func TestPromote(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	want(t, l.comment(ctx, 7, "ada", "/promote api v1.2"), "Promoting `api` at `700000`, tag `v1.2`.", "trusted api  7 tags v1.2 1 triggers")
	want(t, l.comment(ctx, 7, "ada", "/promote v1.2"), "Promoting 2 images at `700000`:\n\n- `api`, tag `v1.2`\n- `web`, tag `v1.2`",
		"trusted api  7 tags v1.2 1 triggers", "trusted web  7 tags v1.2")
	fork := "no: This comes from a fork, and nothing that a fork sent gets a tag of `acme/hello`: merge it, then promote the commit of the merge."
	want(t, l.comment(ctx, 8, "ada", "/promote api v1.2"), fork)
	l.comment(ctx, 8, "ada", "/ok-to-build "+hash("80"))
	want(t, l.comment(ctx, 8, "ada", "/promote api v1.2"), fork)
}

// An approval that nothing comes of is still one: it is for the commit.
func TestApprovalThatBuildsNothing(t *testing.T) {
	l := newTown(t)
	l.file("a0", "", "version: 1\nautomatic: false\nimages: [{name: api, rules: [{pullRequest: true}]}]\n")
	d := l.comment(t.Context(), 8, "ada", "/ok-to-build "+hash("80"))
	want(t, d, "`800000` is approved. Nothing is built.\n\n- `api`, rule `pullRequest: true`: `it matches, but automatic is false: it builds when it is asked for by hand`")
	if diff := cmp.Diff(&builder.Approval{Ref: builder.PullRef(8), Commit: hash("80"), By: "ada"}, d.Approve); diff != "" {
		t.Errorf("approval (-want +got):\n%s", diff)
	}
	want(t, l.comment(t.Context(), 8, "ada", "/build"),
		"Building `api` at `800000`, as a fork's: without secrets and without a network, and nothing is pushed.", "fork api pull/8/head 8")
}

// A long answer is cut, and says so.
func TestLongAnswers(t *testing.T) {
	l := newTown(t)
	var tags, images strings.Builder
	for i := range 12 {
		fmt.Fprintf(&tags, "t%d, ", i)
		fmt.Fprintf(&images, "  - {name: img%d, rules: [{branch: nowhere}]}\n", i)
	}
	l.file("70", "a0", "version: 1\nimages:\n  - {name: api, rules: [{pullRequest: true, tags: ["+tags.String()+"]}]}\n"+images.String())
	d := l.comment(t.Context(), 7, "ada", "/build")
	for _, part := range []string{"Building `api` at `700000`, tags `t0`, `t1`", "`t9` and 2 more.\n", "- `img9`: ", "\n- and 3 more"} {
		if !strings.Contains(d.Answer.Text, part) {
			t.Errorf("%q is not in:\n%s", part, d.Answer.Text)
		}
	}
	l.file("71", "a0", "version: 1\nimages:\n"+strings.ReplaceAll(images.String()+strings.ReplaceAll(images.String(), "img", "pic")+strings.ReplaceAll(images.String(), "img", "map"), "branch", "tag"))
	l.pulled(t.Context(), 7, "71")
	if text := l.comment(t.Context(), 7, "ada", "/why").Answer.Text; !strings.HasSuffix(text, "\n\nand 32 more.") {
		t.Errorf("the end is not told in:\n%s", text)
	}
}

func TestPauseAndResume(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	want(t, l.comment(ctx, 7, "ada", "/resume"), "no: Nothing is paused.")
	want(t, l.comment(ctx, 7, "ada", "/resume api"), "no: `api` is not paused.")
	want(t, l.comment(ctx, 7, "ada", "/pause apo"), "no: There is no image `apo` in `.registry-build.yml`; did you mean `api`?")
	want(t, l.comment(ctx, 7, "ada", "/pause database"), "no: There is no image `database` in `.registry-build.yml`; it has `api`, `web`.")
	l.file("70", "a0", "")
	l.refs["refs/heads/main"] = hash("70")
	want(t, l.comment(ctx, 7, "ada", "/pause api"), "no: There is no image `api`: `.registry-build.yml` has none, or cannot be read.")
	l.file("70", "a0", townFile)
	l.refs["refs/heads/main"] = hash("a0")
	want(t, l.comment(ctx, 7, "ada", "/pause api"), "Automatic builds of `api` are paused in `acme/hello`. `/resume api` lets them start again; `/build` works all the time.")
	if got := lines(l.pulled(ctx, 7, "70")); len(got) != 1 || got[0] != "trusted web pull/7/head 7" {
		t.Errorf("%q; want api paused", got)
	}
	want(t, l.comment(ctx, 7, "ada", "/build api"), "Building `api` at `700000`, tag `pr-7`.", "trusted api pull/7/head 7 tags pr-7 1 triggers")
	want(t, l.comment(ctx, 7, "ada", "/pause"), "Automatic builds of all images are paused in `acme/hello`. `/resume` lets them start again; `/build` works all the time.")
	want(t, l.comment(ctx, 7, "ada", "/resume web"), "no: Not `web` alone is paused, but all images, by `ada`: `/resume` lets all start again.")
	want(t, l.comment(ctx, 7, "ada", "/resume api"), "Automatic builds of `api`, which `ada` had paused, start again with the next push. `/build api` builds what was pushed meanwhile. But all images are paused, too, by `ada`: `/resume`.")
	want(t, l.comment(ctx, 7, "ada", "/pause web"), "Automatic builds of `web` are paused in `acme/hello`. `/resume web` lets them start again; `/build` works all the time.")
	want(t, l.comment(ctx, 7, "rob", "/status"), "The newest builds of `700000`:\n\n"+status(l.lab, "700000", "web", "api")+"\n\n- automatic builds of `web` are paused by `ada`\n- automatic builds of all images are paused by `ada`")
	want(t, l.comment(ctx, 7, "ada", "/resume"), "Automatic builds start again, with the next push. `/build` builds what was pushed meanwhile.")
	if got := lines(l.pulled(ctx, 7, "70")); len(got) != 2 {
		t.Errorf("%q; want both", got)
	}
}

// status is the table that /status shows, of the newest builds in the store.
func status(l *lab, commit string, images ...string) string {
	l.t.Helper()
	text := "| image | of | state | since | build |\n| --- | --- | --- | --- | --- |"
	page, _, err := l.store.Builds(l.t.Context(), builder.BuildFilter{Repository: labRepo.Key()})
	if err != nil {
		l.t.Fatal(err)
	}
	seen := map[string]bool{}
	rows := map[string]string{}
	for _, r := range page {
		if !seen[r.Image] && strings.HasPrefix(r.StatusCommit(), commit) {
			seen[r.Image] = true
			at := r.FinishedAt
			if at.IsZero() {
				at = r.QueuedAt
			}
			rows[r.Image] = fmt.Sprintf("\n| `%s` | `pull request 7` | `%s` | %s | `%s` |", r.Image, builder.Describe(r), at.UTC().Format("2006-01-02 15:04 UTC"), r.ID)
		}
	}
	for _, image := range []string{"api", "web"} {
		text += rows[image]
	}
	return text
}

func TestHelp(t *testing.T) {
	l := newTown(t)
	d := l.comment(t.Context(), 7, "rob", "/help")
	for _, u := range builder.Commands() {
		if !strings.Contains(d.Answer.Text, "\n| `"+u.Form+"` | "+u.Text+" | "+u.Who()+" |") {
			t.Errorf("no row for %s in:\n%s", u.Form, d.Answer.Text)
		}
	}
}

// Who can only read is answered some times and then no more; who can write is.
func TestReadersAreAnsweredSomeTimes(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.dispatcher().Run(run) }()
	defer func() { stop(); <-done }()
	answers := map[string]int{}
	for i := range 24 {
		e := builder.Event{
			ID: fmt.Sprint("git:", i), Kind: builder.Commanded, Repository: labRepo, Actor: []string{"rob", "ada"}[i%2],
			Command: &builder.Command{Source: builder.FromComment, Name: builder.CommandHelp, Pull: 7},
		}
		if _, err := l.store.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
		d, err := l.store.AwaitDecision(ctx, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Answer != nil {
			answers[e.Actor]++
		}
	}
	if diff := cmp.Diff(map[string]int{"rob": 10, "ada": 12}, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
