package builder_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

// finish ends the builds of a decision, each as it is told.
func (l *town) finish(ctx context.Context, d builder.Decision, how map[string]builder.State) {
	l.t.Helper()
	l.solve = func(_ context.Context, r builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		for _, b := range d.Builds {
			if strings.HasPrefix(r.ID, b.ID) && how[b.Image] == builder.Failed {
				return builder.Solution{}, &builder.Failure{Stage: builder.StageBuild, Message: "RUN make | tee log\nfailed"}
			}
		}
		return builder.Solution{Digest: "sha256:one"}, nil
	}
	for _, b := range d.Builds {
		if how[b.Image] != builder.Cancelled {
			continue
		}
		if _, err := l.store.Cancel(ctx, b.ID, "by ada"); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, b := range d.Builds {
		if r := l.work(ctx, b.ID); r.State != how[b.Image] && (how[b.Image] != builder.Succeeded || !r.State.Good()) {
			l.t.Fatalf("%s is %s; want %s", b.Image, r.State, how[b.Image])
		}
	}
}

func TestRebuild(t *testing.T) {
	for _, test := range []struct {
		name   string
		how    map[string]builder.State
		line   string
		answer string
		builds []string
	}{
		{"what failed", map[string]builder.State{"api": builder.Failed, "web": builder.Succeeded}, "/rebuild",
			"Building again `api` at `700000`, tag `pr-7`.", []string{"trusted api pull/7/head 7 tags pr-7 1 triggers"}},
		{"what was cancelled, without the cache", map[string]builder.State{"api": builder.Succeeded, "web": builder.Cancelled}, "/rebuild no-cache",
			"Building again `web` at `700000`.", []string{"trusted web pull/7/head 7 no cache"}},
		{"both", map[string]builder.State{"api": builder.Failed, "web": builder.Cancelled}, "/rebuild",
			"Building again 2 images at `700000`:\n\n- `api`, tag `pr-7`\n- `web`", []string{"trusted api pull/7/head 7 tags pr-7 1 triggers", "trusted web pull/7/head 7"}},
		{"nothing failed", map[string]builder.State{"api": builder.Succeeded, "web": builder.Succeeded}, "/rebuild",
			"no: Nothing at `700000` has failed. To build an image all the same, name it: there is `api`, `web`.", nil},
		{"a name forces", map[string]builder.State{"api": builder.Succeeded, "web": builder.Succeeded}, "/rebuild api",
			"Building again `api` at `700000`, tag `pr-7`.", []string{"trusted api pull/7/head 7 tags pr-7 1 triggers"}},
		{"an unknown name", map[string]builder.State{"api": builder.Succeeded, "web": builder.Succeeded}, "/rebuild apo",
			"no: There is no build of `apo` at `700000`; there is `api`, `web`.", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newTown(t)
			l.finish(t.Context(), l.pulled(t.Context(), 7, "70"), test.how)
			want(t, l.comment(t.Context(), 7, "ada", test.line), test.answer, test.builds...)
		})
	}
}

// Only the newest build of an image counts, and a rebuild can be built again.
func TestRebuildLooksAtTheNewest(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	failed := map[string]builder.State{"api": builder.Failed, "web": builder.Succeeded}
	l.finish(ctx, l.pulled(ctx, 7, "70"), failed)
	again := l.comment(ctx, 7, "ada", "/rebuild")
	l.finish(ctx, again, map[string]builder.State{"api": builder.Failed})
	again = l.comment(ctx, 7, "ada", "/rebuild")
	wantBuilds(t, again, "trusted api pull/7/head 7 tags pr-7 1 triggers")
	l.finish(ctx, again, map[string]builder.State{"api": builder.Succeeded})
	want(t, l.comment(ctx, 7, "ada", "/rebuild"), "no: Nothing at `700000` has failed. To build an image all the same, name it: there is `api`, `web`.")
	l.file("71", "70", townFile)
	l.pulled(ctx, 7, "71")
	want(t, l.comment(ctx, 7, "ada", "/rebuild"), "no: Nothing at `710000` has failed. To build an image all the same, name it: there is `api`, `web`.")
}

// Two refs at one commit build one image by one rule: two builds.
func TestRebuildOfSeveralRefs(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("a0", "", "version: 1\nimages: [{name: api, rules: [{branch: \"*\", tags: [\"${branch}\"]}]}]\n")
	bad := map[string]builder.State{"api": builder.Failed}
	l.finish(ctx, l.push(ctx, "refs/heads/main", "", hash("a0")), bad)
	l.finish(ctx, l.push(ctx, "refs/heads/other", "", hash("a0")), bad)
	d := l.remark(ctx, "a0", "ada", "/rebuild")
	wantBuilds(t, d, "trusted api heads/main a tags main", "trusted api heads/other a tags other")
	if len(d.Builds) == 2 && d.Builds[0].ID == d.Builds[1].ID {
		t.Errorf("both are build %s", d.Builds[0].ID)
	}
	l.finish(ctx, d, bad)
	// Of a promotion and a build of the commit, each keeps its tags.
	l.finish(ctx, l.remark(ctx, "a0", "ada", "/promote v1"), bad)
	wantBuilds(t, l.remark(ctx, "a0", "ada", "/rebuild"), "trusted api  a tags v1", "trusted api heads/main a tags main", "trusted api heads/other a tags other")
}

// A promotion and a build of the commit, by hand, each keep their tags.
func TestRebuildKeepsTheTags(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	bad := map[string]builder.State{"api": builder.Failed, "web": builder.Failed}
	l.finish(ctx, l.remark(ctx, "a0", "ada", "/promote api v1"), bad)
	l.finish(ctx, l.remark(ctx, "a0", "ada", "/build web"), bad)
	wantBuilds(t, l.remark(ctx, "a0", "ada", "/rebuild"), "trusted api  a tags v1 1 triggers", "trusted web  a tags a00000")
}

func TestButtons(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	built := l.pulled(ctx, 7, "70")
	press := func(c builder.Command) builder.Decision {
		if c.Source == "" {
			c.Source = builder.FromButton
		}
		return l.press(ctx, builder.Event{Actor: "ada", Commit: hash("70"), Command: &c})
	}
	want(t, press(builder.Command{Name: builder.CommandCancel, BuildID: built.Builds[0].ID}), "At `700000`:\n\n- `api` is cancelled")
	want(t, press(builder.Command{Name: builder.CommandRebuild, NoCache: true, BuildID: built.Builds[0].ID}),
		"Building again `api` at `700000`, tag `pr-7`.", "trusted api pull/7/head 7 tags pr-7 1 triggers no cache")
	want(t, press(builder.Command{Name: builder.CommandRebuild, BuildID: "06db3m8e7g0k5rqa"}), "no: Build `06db3m8e7g0k5rqa` is not known any more: `/build` builds afresh.")
	want(t, press(builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild}),
		"Building again 2 images at `700000`:\n\n- `api`, tag `pr-7`\n- `web`", "trusted api pull/7/head 7 tags pr-7 1 triggers", "trusted web pull/7/head 7")
	// A button of another repository's build is none of ours.
	other := builder.Repository{Forge: "git", ID: "acme/other", Owner: "acme", Name: "other", DefaultBranch: "main"}
	c := builder.Command{Source: builder.FromButton, Name: builder.CommandRebuild, BuildID: built.Builds[0].ID}
	want(t, l.press(ctx, builder.Event{Repository: other, Actor: "ada", Commit: hash("70"), Command: &c}),
		"no: Build `"+built.Builds[0].ID+"` is not known any more: `/build` builds afresh.")
	c = builder.Command{Source: builder.FromButton, Name: builder.CommandCancel, BuildID: built.Builds[1].ID}
	if d := l.press(ctx, builder.Event{Repository: other, Actor: "ada", Commit: hash("70"), Command: &c}); !d.Answer.Refused {
		t.Errorf("another repository's build is cancelled: %+v", d.Answer)
	}
	// Once the pull request is closed, its builds stay as they are.
	p := l.forge.pulls[7]
	p.Open = false
	l.forge.pulls[7] = p
	want(t, press(builder.Command{Name: builder.CommandRebuild, BuildID: built.Builds[0].ID}), "no: Pull request 7 is closed, so nothing is built for it. Open it again first.")
	c = builder.Command{Source: builder.FromButton, Name: builder.CommandRebuild, Pull: 7, BuildID: built.Builds[0].ID}
	want(t, press(c), "no: Pull request 7 is closed, so nothing is built for it. Open it again first.")
	// That keeps nothing else of the commit from being built again.
	pushed := l.push(ctx, "refs/heads/main", hash("a0"), hash("70")).Builds
	want(t, press(builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild}),
		"Building again 2 images at `700000`:\n\n- `api`, tag `latest`\n- `web`, tag `latest`", lines(builder.Decision{Builds: pushed})...)
}

// A fork's build is built again in the fork lane, and on the pull request only
// while its commit is the one that is approved.
func TestRebuildOfAFork(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.pulled(ctx, 8, "80")
	rerun := func(pull int) builder.Decision {
		return l.press(ctx, builder.Event{Actor: "ada", Commit: hash("80"),
			Command: &builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild, Pull: pull}})
	}
	approve := "no: This comes from a fork, and nobody has approved `800000` yet: read the changes, then write `/ok-to-build " + hash("80") + "`."
	want(t, rerun(8), approve)
	// Without the pull request nothing says that a push ended there.
	want(t, rerun(0), "no: Nothing was built of `800000`, and no push that ended there is known: push it again, or write `/build`.")
	approved := l.comment(ctx, 8, "ada", "/ok-to-build "+hash("80"))
	l.finish(ctx, approved, map[string]builder.State{"api": builder.Failed, "web": builder.Succeeded})
	wantBuilds(t, l.comment(ctx, 8, "ada", "/rebuild"), "fork api pull/8/head 8")
	wantBuilds(t, rerun(0), "fork api pull/8/head 8", "fork web pull/8/head 8")
	wantBuilds(t, l.remark(ctx, "80", "ada", "/rebuild web"), "fork web pull/8/head 8")
	l.file("81", "80", townFile)
	l.pulled(ctx, 8, "81")
	l.comment(ctx, 8, "ada", "/ok-to-build "+hash("81"))
	want(t, rerun(8), approve)
}

// What came to nothing is decided again when the forge's button asks.
func TestRerunOfWhatBuiltNothing(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("71", "a0", "version: 1\nautomatic: false\nimages: [{name: api, rules: [{pullRequest: true}, {branch: main, tags: [latest]}]}]\n")
	rerun := func(commit string, pull int) builder.Decision {
		return l.press(ctx, builder.Event{Actor: "ada", Commit: hash(commit),
			Command: &builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild, Pull: pull}})
	}
	wantBuilds(t, l.pulled(ctx, 7, "71"))
	want(t, rerun("71", 7), "Building `api` at `710000`.", "trusted api pull/7/head 71 1 triggers")
	wantBuilds(t, l.push(ctx, "refs/heads/main", "", hash("71")))
	l.file("72", "71", "version: 9\n")
	wantBuilds(t, l.push(ctx, "refs/heads/main", hash("71"), hash("72")))
	want(t, rerun("72", 0), "no: Nothing is built.\n\n- `.registry-build.yml:1:1: \"images\" is missing; the smallest file is: images: [{name: app}]`\n- `.registry-build.yml:1:10: this registry-build reads version 1 of the file; write version: 1`")
	want(t, rerun("a0", 0), "no: Nothing was built of `a00000`, and no push that ended there is known: push it again, or write `/build`.")
}

func TestCancel(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	want(t, l.comment(ctx, 7, "ada", "/cancel"), "no: Nothing is queued or running at `700000`.")
	l.pulled(ctx, 7, "70")
	want(t, l.comment(ctx, 7, "ada", "/cancel apo"), "no: `apo` is neither queued nor running at `700000`; there is `api`, `web`.")
	d := l.comment(ctx, 7, "ada", "/cancel api")
	want(t, d, "At `700000`:\n\n- `api` is cancelled")
	page, _, err := l.store.Builds(ctx, builder.BuildFilter{Repository: labRepo.Key(), Image: "api"})
	if err != nil || len(page) != 1 || page[0].State != builder.Cancelled || page[0].Reason != "by ada" {
		t.Errorf("%+v, %v; want it cancelled by ada", page, err)
	}
	want(t, l.comment(ctx, 7, "ada", "/cancel"), "At `700000`:\n\n- `web` is cancelled")
	// A running build is asked to stop, also of an older head.
	l.file("71", "70", townFile)
	older := l.comment(ctx, 7, "ada", "/build api")
	running, stopped := make(chan bool), make(chan bool)
	l.solve = func(ctx context.Context, _ builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
		close(running)
		<-ctx.Done()
		close(stopped)
		return builder.Solution{}, ctx.Err()
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.worker().Run(run) }()
	defer func() { stop(); <-done }()
	<-running
	p := l.forge.pulls[7]
	p.Head = hash("71")
	l.forge.pulls[7] = p
	want(t, l.comment(ctx, 7, "ada", "/cancel"), "At `710000`:\n\n- `api` is being stopped")
	<-stopped
	if r := l.ended(ctx, older.Builds[0].ID); r.State != builder.Cancelled || r.Reason != "by ada" {
		t.Errorf("%s %q", r.State, r.Reason)
	}
}

// A decision that is made again after a crash says what the first one did.
func TestCancelAgainAfterACrash(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.pulled(ctx, 7, "70")
	d := l.dispatcher()
	d.Inbox = &forgetfulInbox{Inbox: l.store}
	e := builder.Event{ID: "git:cancel", Kind: builder.Commanded, Repository: labRepo, Actor: "ada",
		Command: &builder.Command{Source: builder.FromComment, Name: builder.CommandCancel, Pull: 7}}
	if _, err := l.store.Append(ctx, e); err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); d.Run(run) }()
	defer func() { stop(); <-done }()
	decided, err := l.store.AwaitDecision(ctx, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	want(t, decided, "At `700000`:\n\n- `api` is cancelled\n- `web` is cancelled")
}

// forgetfulInbox loses the first decision.
type forgetfulInbox struct {
	builder.Inbox
	lost bool
}

func (i *forgetfulInbox) Decide(ctx context.Context, l *builder.EventLease, d builder.Decision) error {
	if i.lost {
		return i.Inbox.Decide(ctx, l, d)
	}
	i.lost = true
	if err := i.Inbox.Defer(ctx, l, 0); err != nil {
		return err
	}
	return errors.New("killed")
}

func TestStatus(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	want(t, l.comment(ctx, 7, "rob", "/status"), "Nothing was built of `700000`; `/why` tells why.")
	l.finish(ctx, l.pulled(ctx, 7, "70"), map[string]builder.State{"api": builder.Failed, "web": builder.Succeeded})
	got := l.comment(ctx, 7, "rob", "/status")
	text := strings.ReplaceAll(status(l.lab, "700000"), "make | tee", `make \| tee`)
	want(t, got, "The newest builds of `700000`:\n\n"+text)
	if !strings.Contains(text, "failed: RUN make") {
		t.Errorf("the failure is not in:\n%s", text)
	}
	l.comment(ctx, 7, "ada", "/rebuild")
	want(t, l.comment(ctx, 7, "rob", "/status"), "The newest builds of `700000`:\n\n"+status(l.lab, "700000"))
	if text := l.remark(ctx, "70", "rob", "/status").Answer.Text; !strings.Contains(text, "queued, 1st in line") {
		t.Errorf("the place is not in:\n%s", text)
	}
}

func TestWhy(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.pulled(ctx, 7, "70")
	rules := "| image | rule | line | outcome |\n| --- | --- | --- | --- |\n" +
		"| `api` | `pullRequest: true` |  | builds, tag `pr-7` |\n| `web` | `pullRequest: true` |  | builds |\n" +
		"| `api` | `branch: main` | 4 | `it is for branches, and this is pull request 7` |\n" +
		"| `api` | `tag: v*` | 4 | `not tried: pullRequest: true matches first` |\n" +
		"| `web` | `branch: main` | 7 | `it is for branches, and this is pull request 7` |"
	want(t, l.comment(ctx, 7, "rob", "/why"), "For `pull request 7` at `700000`:\n\n"+rules)
	l.push(ctx, "refs/heads/feature", "", hash("70"))
	text := l.comment(ctx, 7, "rob", "/why").Answer.Text
	if !strings.Contains(text, rules+"\n\nFor `branch feature` at `700000`:\n\n| image |") || !strings.Contains(text, "| `web` |  | 6 | `no rule matches branch feature` |") {
		t.Errorf("the branch's decision is not in:\n%s", text)
	}
	l.file("a1", "a0", "imges: []\n")
	l.push(ctx, "refs/heads/main", "", hash("a1"))
	mistakes := l.remark(ctx, "a1", "rob", "/why").Answer.Text
	if !strings.HasPrefix(mistakes, "For `branch main` at `a10000`:\n\n- `.registry-build.yml:1:1: ") {
		t.Errorf("the mistakes are not in:\n%s", mistakes)
	}
	l.commits[hash("a2")] = map[string]string{}
	l.push(ctx, "refs/heads/main", hash("a1"), hash("a2"))
	if text := l.remark(ctx, "a2", "rob", "/why").Answer.Text; !strings.Contains(text, "- `no .registry-build.yml at a20000: ") {
		t.Errorf("the hint is not in:\n%s", text)
	}
	l.push(ctx, "refs/heads/main", hash("a2"), hash("dead"))
	want(t, l.remark(ctx, "dead", "rob", "/why"), "For `branch main` at `dead00`:\n\n- `commit "+hash("dead")+" is gone`")
	want(t, l.remark(ctx, "80", "rob", "/why"), "No push that ended at `800000` is known, so nothing was decided on it.")
}

// Nothing that a person can choose reaches an answer but as code.
func TestAnswersQuoteWhatPeopleWrite(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	for _, line := range []string{"/build @everybody", "/build api --ref @everybody", "/rebuild `@everybody`", "/cancel @everybody", "/pause @everybody", "/resume @everybody", "/stauts @everybody", "/status @everybody"} {
		text := l.comment(ctx, 7, "ada", line).Answer.Text
		for i, part := range strings.Split(text, "`") {
			if i%2 == 0 && strings.Contains(part, "@") {
				t.Errorf("%s: %s", line, text)
			}
		}
	}
}
