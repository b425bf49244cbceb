package builder_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

func reasons(d builder.Decision) []string {
	var out []string
	for _, r := range d.Reasons {
		line := r.Message
		if r.Image != "" {
			line = r.Image + ": " + line
		}
		if r.Unchanged {
			line += " (unchanged)"
		}
		out = append(out, line)
	}
	return out
}

func wantBuilds(t *testing.T, d builder.Decision, builds ...string) {
	t.Helper()
	if diff := cmp.Diff(builds, lines(d)); diff != "" {
		t.Errorf("builds (-want +got):\n%s\nof %+v", diff, d)
	}
}

// The head's own file says what builds; triggers and repositories come from
// the default branch's, also where the base is another branch.
func TestPullRequestOfTheSameRepository(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	const greedy = "version: 1\nimages:\n  - name: api\n    rules: [{pullRequest: true, tags: [stolen]}]\n    triggers: [{name: mine, webhook: {url: \"https://example.com/a\"}}, {name: too, webhook: {url: \"https://example.com/b\"}}]\n  - name: new\n    rules: [{pullRequest: true}]\n    triggers: [{name: mine, webhook: {url: \"https://example.com/a\"}}]\n"
	l.file("71", "a0", greedy)
	l.refs["refs/heads/feature"] = hash("71")
	l.forge.protected["refs/heads/feature"] = true // which is no word on the pull request
	wantBuilds(t, l.pulled(ctx, 7, "71"), "trusted api pull/7/head 71 tags stolen 1 triggers", "trusted new pull/7/head 71")
	p := l.forge.pulls[7]
	p.BaseBranch = "feature"
	l.forge.pulls[7] = p
	wantBuilds(t, l.pulled(ctx, 7, "71"), "trusted api pull/7/head 71 tags stolen 1 triggers", "trusted new pull/7/head 71")
}

// Nothing of a fork is built until a maintainer approves that very commit,
// and its build file counts for nothing.
func TestForkWaitsForApproval(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("80", "a0", "version: 1\nimages:\n  - name: api\n    rules: [{pullRequest: true, tags: [stolen]}]\n  - name: miner\n    rules: [{pullRequest: true}]\n")
	d := l.pulled(ctx, 8, "80")
	wantBuilds(t, d)
	if d.Unapproved != hash("80") || len(d.TagOwners) != 0 || d.Head == nil {
		t.Errorf("%+v; want it to wait", d)
	}
	if len(d.Changes) == 0 {
		t.Errorf("nobody is told what the fork changes: %+v", d)
	}
	want(t, l.comment(ctx, 8, "ada", "/build"), "no: This comes from a fork, and nobody has approved `800000` yet: read the changes, then write `/ok-to-build "+hash("80")+"`.")
	want(t, l.comment(ctx, 8, "ada", "/ok-to-build "+hash("81")), "no: The head is `800000` now: read what is new, then write `/ok-to-build "+hash("80")+"`.")
	want(t, l.comment(ctx, 7, "ada", "/ok-to-build "+hash("70")), "no: This pull request comes from `acme/hello` itself and builds without `/ok-to-build`.")
	approved := l.comment(ctx, 8, "ada", "/ok-to-build "+hash("80"))
	if diff := cmp.Diff([]string{"fork api pull/8/head 8", "fork web pull/8/head 8"}, lines(approved)); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(approved.Answer.Text, "Approved. Building 2 images at `800000`, as a fork's: without secrets and without a network, and nothing is pushed:\n\n- `api`\n- `web`") {
		t.Errorf("answer %q", approved.Answer.Text)
	}
	if got := l.comment(ctx, 8, "ada", "/build web"); len(got.Builds) != 1 || got.Builds[0].Lane != builder.ForkLane {
		t.Errorf("%+v; want a build in the fork lane", got)
	}
	// What is pushed next needs another word.
	l.file("81", "80", townFile)
	if d := l.pulled(ctx, 8, "81"); d.Unapproved != hash("81") || len(d.Builds) != 0 {
		t.Errorf("%+v; want it to wait again", d)
	}
	want(t, l.comment(ctx, 8, "ada", "/rebuild"), "no: Nothing was built of `810000`: `/why` tells why, and `/build` builds it.")
	want(t, l.comment(ctx, 8, "rob", "/why"), "For `pull request 8` at `810000`:\n\n- it comes from a fork and waits for `/ok-to-build "+hash("81")+"`\n\n"+
		"| image | rule | line | outcome |\n| --- | --- | --- | --- |\n"+
		"| `api` | `branch: main` | 4 | `it is for branches, and this is pull request 8` |\n"+
		"| `api` | `tag: v*` | 4 | `not tried: pullRequest: true matches first` |\n"+
		"| `web` | `branch: main` | 7 | `it is for branches, and this is pull request 8` |")
	// And the head that was approved is built when it comes back.
	p := l.forge.pulls[8]
	p.Number, p.Head = 8, hash("80")
	back := builder.Event{ID: "git:back", Kind: builder.PullChanged, Ref: builder.PullRef(8), Before: hash("81"), Commit: p.Head, Pull: &p}
	wantBuilds(t, l.decide(ctx, back), "fork api pull/8/head 8", "fork web pull/8/head 8")
}

// Where nothing would build, there is nothing to wait for.
func TestForkThatBuildsNothingDoesNotWait(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("a1", "a0", "version: 1\nimages: [{name: api, rules: [{branch: main}]}]\n")
	l.refs["refs/heads/main"] = hash("a1")
	d := l.pulled(ctx, 8, "80")
	if d.Unapproved != "" || len(d.Builds) != 0 || !strings.Contains(fmt.Sprint(reasons(d)), "no rule matches pull request 8") {
		t.Errorf("%+v; want a reason, and no waiting", d)
	}
	l.file("82", "a1", "version: 9\n")
	if got := fmt.Sprint(reasons(l.pulled(ctx, 8, "82"))); !strings.Contains(got, "the .registry-build.yml of the pull request cannot be merged like this: .registry-build.yml:1:") {
		t.Errorf("%s; want the mistakes of the fork's file told", got)
	}
	l.file("a2", "a1", "version: 9\n")
	l.refs["refs/heads/main"] = hash("a2")
	if d := l.pulled(ctx, 8, "80"); len(d.Invalid) == 0 || d.Unapproved != "" {
		t.Errorf("%+v; want the base's mistakes", d)
	}
	delete(l.refs, "refs/heads/main")
	if d := l.pulled(ctx, 8, "80"); d.Failure == nil || d.Failure.Message != "branch main, whose .registry-build.yml says what a fork's pull request builds, is gone" {
		t.Errorf("%+v; want the base branch gone", d)
	}
}

func TestMergeOfThePullRequest(t *testing.T) {
	head := "the forge has no merge of 700000, which may conflict with branch main"
	for _, test := range []struct {
		name, merge, now string // now is the head at the forge
		build, warning   string
	}{
		{"there is one", "m1", "70", "m1 shown on 7", ""},
		{"there is none", "", "70", "7", head},
		{"of another head", "m2", "70", "7", "merge m20000 is of another head"},
		{"of a head on top of this one, for a moment", "m3", "70", "7", "merge m30000 is of another head"},
		{"the head has moved on", "m1", "71", "7", head},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // two of them wait
			l := newTown(t)
			l.forge.merge = true
			l.file("m1", "70", townFile)
			l.file("m2", "a0", townFile)
			l.file("71", "70", townFile)
			l.file("m3", "71", townFile)
			p := l.forge.pulls[7]
			p.Number, p.Head = 7, hash(test.now)
			if test.merge != "" {
				p.Merge = hash(test.merge)
			}
			l.forge.pulls[7] = p
			p.Head = hash("70")
			d := l.decide(t.Context(), builder.Event{ID: "git:1", Kind: builder.PullChanged, Ref: builder.PullRef(7), Commit: p.Head, Pull: &p})
			wantBuilds(t, d, "trusted api pull/7/head "+test.build+" tags pr-7 1 triggers", "trusted web pull/7/head "+test.build)
			for _, b := range d.Builds {
				if got := strings.Join(b.Warnings, ";"); !strings.Contains(got, test.warning) || (got == "") != (test.warning == "") {
					t.Errorf("warnings %q; want %q", got, test.warning)
				}
			}
		})
	}
}

// A forge that needs a moment for the merge gets it.
func TestMergeThatComesLate(t *testing.T) {
	l := newTown(t)
	l.forge.merge = true
	l.file("m1", "70", townFile)
	l.forge.ready = map[int]string{2: hash("m1")}
	wantBuilds(t, l.pulled(t.Context(), 7, "70"), "trusted api pull/7/head m1 shown on 7 tags pr-7 1 triggers", "trusted web pull/7/head m1 shown on 7")
}

// A fork that waits is not asked for its merge, and one that is approved is.
func TestMergeOfAFork(t *testing.T) {
	l := newTown(t)
	l.forge.merge = true
	l.file("m8", "80", townFile)
	p := l.forge.pulls[8]
	p.Merge = hash("m8")
	l.forge.pulls[8] = p
	l.pulled(t.Context(), 8, "80")
	if l.forge.asked != 0 {
		t.Errorf("the forge was asked %d times", l.forge.asked)
	}
	d := l.comment(t.Context(), 8, "ada", "/ok-to-build "+hash("80"))
	wantBuilds(t, d, "fork api pull/8/head m8 shown on 8", "fork web pull/8/head m8 shown on 8")
	// A rebuild builds the same merge.
	p.Merge = hash("m9")
	l.forge.pulls[8] = p
	wantBuilds(t, l.comment(t.Context(), 8, "ada", "/rebuild web"), "fork web pull/8/head m8 shown on 8")
}

func TestClosedPullRequest(t *testing.T) {
	for _, test := range []struct {
		name   string
		merged bool
		open   bool // it is open again by the time that we hear of its end
		reason string
		untag  int
	}{
		{"closed", false, false, "pull request 7 is closed: there is nothing to build", 7},
		{"merged", true, false, "pull request 7 is merged: there is nothing to build", 7},
		{"opened again meanwhile", false, true, "pull request 7 is open again", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newTown(t)
			ctx := t.Context()
			l.pulled(ctx, 7, "70")
			p := l.forge.pulls[7]
			p.Open, p.Merged = test.open, test.merged
			l.forge.pulls[7] = p
			d := l.decide(ctx, builder.Event{ID: "git:closed", Kind: builder.PullClosed, Ref: builder.PullRef(7), Commit: hash("70"), Pull: &p})
			if diff := cmp.Diff([]string{test.reason}, reasons(d)); diff != "" || d.Untag != test.untag || (d.StopRef != "") == test.open {
				t.Errorf("%+v (-want +got):\n%s", d, diff)
			}
			if test.open {
				return
			}
			page, _, err := l.store.Builds(ctx, builder.BuildFilter{Ref: builder.PullRef(7)})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				if r.State != builder.Cancelled {
					t.Errorf("%s is %s", r.Image, r.State)
				}
			}
			// What comes late builds nothing; opened again it does, with a
			// generation that goes on.
			if d := l.pulled(ctx, 7, "70"); len(d.Builds) != 0 || reasons(d)[0] != "pull request 7 is closed" {
				t.Errorf("%+v; want nothing of a closed pull request", d)
			}
			p.Open = true
			l.forge.pulls[7] = p
			if d := l.pulled(ctx, 7, "70"); len(d.Builds) != 2 || d.Builds[0].Generation != 2 {
				t.Errorf("%+v; want two builds of generation 2", d)
			}
		})
	}
}

// The same head against another base is decided again; an older head is not.
func TestPullRequestsInOrder(t *testing.T) {
	l := newTown(t)
	ctx := t.Context()
	l.file("71", "70", townFile)
	l.file("72", "71", townFile)
	l.pulled(ctx, 7, "70")
	l.pulled(ctx, 7, "72")
	if d := l.pulled(ctx, 7, "71"); len(d.Builds) != 0 || !strings.Contains(reasons(d)[0], "overtaken") {
		t.Errorf("%+v; want it overtaken", d)
	}
	if d := l.pulled(ctx, 7, "72"); len(d.Builds) != 2 {
		t.Errorf("%+v; want the head again", d)
	}
}

// A merge queue's branch has no authority, although its ref is protected and
// of the repository itself; its builds put no tag.
func TestMergeQueue(t *testing.T) {
	l := newTown(t)
	ref := "refs/heads/gh-readonly-queue/main/pr-7-" + hash("a0")
	l.forge.protected[ref] = true
	l.file("71", "a0", strings.Replace(townFile, "  - name: web\n", "  - name: web\n    triggers: [{name: mine, webhook: {url: \"https://example.com/a\"}}]\n", 1))
	d := l.decide(t.Context(), builder.Event{ID: "git:1", Kind: builder.MergeQueued, Ref: ref, Before: hash("a0"), Commit: hash("71"), Protected: true})
	if len(d.Builds) != 2 || d.Head != nil {
		t.Fatalf("%+v; want two builds, and no head", d)
	}
	for _, b := range d.Builds {
		if b.Lane != builder.TrustedLane || len(b.Tags) != 0 || b.Image == "web" && len(b.Triggers) != 0 {
			t.Errorf("%+v", b)
		}
	}
	if l.forge.asked != 0 {
		t.Errorf("the forge was asked %d times", l.forge.asked)
	}
}
