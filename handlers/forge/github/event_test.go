package github_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

const hookDelivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

var (
	hookSHA0 = strings.Repeat("0", 40)
	hookSHA1 = strings.Repeat("1", 40)
	hookSHA2 = strings.Repeat("2", 40)
	hookSHA3 = strings.Repeat("3", 40)

	hookRepo = builder.Repository{Forge: "github", ID: "77", Owner: "Acme", Name: "hello.go", DefaultBranch: "main", Installation: "5"}
)

// in is what nearly all payloads have.
const hookIn = `"repository":{"id":77,"name":"hello.go","full_name":"Acme/hello.go","default_branch":"main","owner":{"login":"Acme","id":1}},` +
	`"sender":{"login":"ann","type":"User"},"installation":{"id":5}`

func pushBody(ref, before, after, headCommit string) string {
	return fmt.Sprintf(`{"ref":%q,"before":%q,"after":%q,"head_commit":%s,"pusher":{"name":"ann"},%s}`, ref, before, after, headCommit, hookIn)
}

func pullBody(action, more, head string) string {
	return fmt.Sprintf(`{"action":%q,"number":12,%s"pull_request":{"number":12,"state":"open","merged":false,"merge_commit_sha":%q,"user":{"login":"bob"},`+
		`"head":{"ref":"topic","sha":%q,%s},"base":{"ref":"main","sha":%q,"repo":{"id":77}}},%s}`, action, more, hookSHA3, hookSHA2, head, hookSHA1, hookIn)
}

const (
	sameHead = `"user":{"login":"Acme"},"repo":{"id":77,"owner":{"login":"Acme"}}`
	forkHead = `"user":{"login":"eve"},"repo":{"id":88,"owner":{"login":"eve"}}`
	goneHead = `"user":{"login":"eve"},"repo":null`
	noHead   = `"user":null,"repo":null`
)

func issueCommentBody(action, sender, issue, body string) string {
	return fmt.Sprintf(`{"action":%q,"issue":{"number":12,%s"title":"x"},"comment":{"id":99,"body":%q},%s}`,
		action, issue, body, strings.Replace(hookIn, `"sender":{"login":"ann","type":"User"}`, `"sender":`+sender, 1))
}

const (
	onPullRequest = `"pull_request":{"url":"x"},`
	userAnn       = `{"login":"ann","type":"User"}`
	userBot       = `{"login":"renovate[bot]","type":"Bot"}`
	checkOfOther  = `"app":{"id":1}`
	checkOfOurs   = `"app":{"id":4711}`
)

func checkRunBody(action, app, external, identifier, pulls string) string {
	return fmt.Sprintf(`{"action":%q,"check_run":{"head_sha":%q,"external_id":%q,%s,"pull_requests":[%s]},"requested_action":{"identifier":%q},%s}`,
		action, hookSHA2, external, app, pulls, identifier, hookIn)
}

const (
	checkPull12     = `{"number":12,"base":{"repo":{"id":77}}}`
	checkPullAbroad = `{"number":3,"base":{"repo":{"id":66}}}`
	checkBuild      = "06db3m8e7g0k5rqa"
	twoRepositories = `[{"id":77,"name":"hello.go","full_name":"Acme/hello.go"},{"id":78,"name":"b","full_name":"Acme/b"}]`
)

func eventOf(kind builder.EventKind, ref, before, commit string) builder.Event {
	id := "github:" + hookDelivery
	if ref != "" {
		id += ":" + ref
	}
	return builder.Event{ID: id, Kind: kind, Repository: hookRepo, Ref: ref, Before: before, Commit: commit, Actor: "ann"}
}

func pulledEvent(kind builder.EventKind, before string, change func(*builder.Pull)) builder.Event {
	e := eventOf(kind, "refs/pull/12/head", before, hookSHA2)
	e.Pull = &builder.Pull{Number: 12, Author: "bob", HeadBranch: "topic", Head: hookSHA2, BaseBranch: "main", Base: hookSHA1, HeadOwner: "Acme", Open: true}
	if change != nil {
		change(e.Pull)
	}
	return e
}

func commandedEvent(commit string, c builder.Command) builder.Event {
	e := eventOf(builder.Commanded, "", "", commit)
	e.Command = &c
	switch { // a comment is carried out once, however it is delivered
	case c.Comment != "" && c.Pull > 0:
		e.ID = "github:issue_comment-" + c.Comment
	case c.Comment != "":
		e.ID = "github:commit_comment-" + c.Comment
	}
	return e
}

func installedEvent(id, name string, withdrawn bool) builder.Event {
	return builder.Event{ID: "github:" + hookDelivery + "-" + id, Kind: builder.Installation, Actor: "ann", Withdrawn: withdrawn,
		Repository: builder.Repository{Forge: "github", ID: id, Owner: "Acme", Name: name, Installation: "5"}}
}

// deliveries are what GitHub sends and what it comes to: events, or the
// reason why there are none.
var hookDeliveries = []struct {
	name, event, body string
	want              []builder.Event
	ignored           string
}{
	{"new branch", "push", pushBody("refs/heads/feature/a", hookSHA0, hookSHA1, `{"id":"`+hookSHA1+`"}`), []builder.Event{eventOf(builder.BranchPushed, "refs/heads/feature/a", "", hookSHA1)}, ""},
	{"branch moved", "push", pushBody("refs/heads/main", hookSHA1, hookSHA2, `{"id":"`+hookSHA2+`"}`), []builder.Event{eventOf(builder.BranchPushed, "refs/heads/main", hookSHA1, hookSHA2)}, ""},
	{"branch deleted", "push", pushBody("refs/heads/main", hookSHA1, hookSHA0, "null"), []builder.Event{eventOf(builder.BranchDeleted, "refs/heads/main", hookSHA1, "")}, ""},
	{"tag", "push", pushBody("refs/tags/v1", hookSHA0, hookSHA1, `{"id":"`+hookSHA1+`"}`), []builder.Event{eventOf(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
	{"annotated tag: its commit, not its object", "push", pushBody("refs/tags/v1", hookSHA0, hookSHA3, `{"id":"`+hookSHA1+`"}`), []builder.Event{eventOf(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
	{"annotated tag moved: before is an object too", "push", pushBody("refs/tags/v1", hookSHA3, hookSHA2, `{"id":"`+hookSHA1+`"}`), []builder.Event{eventOf(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
	{"tag deleted", "push", pushBody("refs/tags/v1", hookSHA3, hookSHA0, "null"), []builder.Event{eventOf(builder.TagDeleted, "refs/tags/v1", "", "")}, ""},
	{"tag of a tree", "push", pushBody("refs/tags/v1", hookSHA0, hookSHA3, "null"), nil, "push: the tag names no commit: not wanted"},
	{"a merge queue's branch", "push", pushBody("refs/heads/gh-readonly-queue/main/pr-1-abc", hookSHA0, hookSHA1, "null"), nil, "push: merge_group tells of the merge queue: not wanted"},
	{"notes", "push", pushBody("refs/notes/commits", hookSHA0, hookSHA1, "null"), nil, "push: neither a branch nor a tag: not wanted"},
	{"create", "create", `{"ref":"v1","ref_type":"tag",` + hookIn + `}`, nil, "create: push tells the same: not wanted"},
	{"delete", "delete", `{"ref":"v1","ref_type":"tag",` + hookIn + `}`, nil, "delete: push tells the same: not wanted"},

	{"pull request", "pull_request", pullBody("opened", "", sameHead), []builder.Event{pulledEvent(builder.PullChanged, "", nil)}, ""},
	{"pull request reopened", "pull_request", pullBody("reopened", "", sameHead), []builder.Event{pulledEvent(builder.PullChanged, "", nil)}, ""},
	{"pull request pushed", "pull_request", pullBody("synchronize", `"before":"`+hookSHA1+`","after":"`+hookSHA2+`",`, sameHead), []builder.Event{pulledEvent(builder.PullChanged, hookSHA1, nil)}, ""},
	{"pull request with another base", "pull_request", pullBody("edited", `"changes":{"base":{"ref":{"from":"dev"}}},`, sameHead), []builder.Event{pulledEvent(builder.PullChanged, "", nil)}, ""},
	{"pull request with another title", "pull_request", pullBody("edited", `"changes":{"title":{"from":"x"}},`, sameHead), nil, "pull_request.edited: the base is the same: not wanted"},
	{"pull request labelled", "pull_request", pullBody("labeled", "", sameHead), nil, "pull_request.labeled: no commit has moved: not wanted"},
	{"pull request of a fork", "pull_request", pullBody("opened", "", forkHead), []builder.Event{pulledEvent(builder.PullChanged, "", func(p *builder.Pull) { p.Fork, p.HeadOwner = true, "eve" })}, ""},
	{"pull request of a fork that is gone", "pull_request", pullBody("opened", "", goneHead), []builder.Event{pulledEvent(builder.PullChanged, "", func(p *builder.Pull) { p.Fork, p.HeadOwner = true, "eve" })}, ""},
	{"pull request of an account that is gone", "pull_request", pullBody("opened", "", noHead), []builder.Event{pulledEvent(builder.PullChanged, "", func(p *builder.Pull) { p.Fork, p.HeadOwner = true, "" })}, ""},
	{"pull request merged", "pull_request", strings.Replace(pullBody("closed", "", sameHead), `"state":"open","merged":false`, `"state":"closed","merged":true`, 1),
		[]builder.Event{pulledEvent(builder.PullClosed, "", func(p *builder.Pull) { p.Open, p.Merged = false, true })}, ""},
	{"pull request closed", "pull_request", strings.Replace(pullBody("closed", "", sameHead), `"state":"open"`, `"state":"closed"`, 1),
		[]builder.Event{pulledEvent(builder.PullClosed, "", func(p *builder.Pull) { p.Open = false })}, ""},

	{"merge queue", "merge_group", `{"action":"checks_requested","merge_group":{"head_sha":"` + hookSHA2 + `","head_ref":"refs/heads/gh-readonly-queue/main/pr-1-x","base_sha":"` + hookSHA1 + `","base_ref":"refs/heads/main"},` + hookIn + `}`,
		[]builder.Event{eventOf(builder.MergeQueued, "refs/heads/gh-readonly-queue/main/pr-1-x", hookSHA1, hookSHA2)}, ""},
	{"merge queue is done", "merge_group", `{"action":"destroyed","reason":"merged",` + hookIn + `}`, nil, "merge_group.destroyed: not wanted"},

	{"command on a pull request", "issue_comment", issueCommentBody("created", userAnn, onPullRequest, "/rebuild api\r\n"),
		[]builder.Event{commandedEvent("", builder.Command{Source: builder.FromComment, Pull: 12, Comment: "99", Body: "/rebuild api\r\n"})}, ""},
	{"command of a bot that is allowed", "issue_comment", issueCommentBody("created", `{"login":"Mergify[bot]","type":"Bot"}`, onPullRequest, "/build"),
		[]builder.Event{func() builder.Event {
			e := commandedEvent("", builder.Command{Source: builder.FromComment, Pull: 12, Comment: "99", Body: "/build"})
			e.Actor = "Mergify[bot]"
			return e
		}()}, ""},
	{"command of a bot", "issue_comment", issueCommentBody("created", userBot, onPullRequest, "/build"), nil, "issue_comment.created: written by a bot: not wanted"},
	{"command of ourselves", "issue_comment", issueCommentBody("created", `{"login":"registry-build[bot]","type":"Bot"}`, onPullRequest, "/build"), nil, "issue_comment.created: written by a bot: not wanted"},
	{"comment without a command", "issue_comment", issueCommentBody("created", userAnn, onPullRequest, "see a/b\nor/and"), nil, "issue_comment.created: no command: not wanted"},
	{"edited comment", "issue_comment", issueCommentBody("edited", userAnn, onPullRequest, "/build"), nil, "issue_comment.edited: only new comments are commands: not wanted"},
	{"deleted comment", "issue_comment", issueCommentBody("deleted", userAnn, onPullRequest, "/build"), nil, "issue_comment.deleted: only new comments are commands: not wanted"},
	{"comment on an issue", "issue_comment", issueCommentBody("created", userAnn, "", "/build"), nil, "issue_comment.created: on an issue: not wanted"},
	{"command on a commit", "commit_comment", `{"action":"created","comment":{"id":99,"commit_id":"` + hookSHA2 + `","body":"  /build"},` + hookIn + `}`,
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromComment, Comment: "99", Body: "  /build"})}, ""},
	{"comment on a commit", "commit_comment", `{"action":"created","comment":{"id":99,"commit_id":"` + hookSHA2 + `","body":"fine"},` + hookIn + `}`, nil, "commit_comment.created: no command: not wanted"},

	{"button rebuild", "check_run", checkRunBody("requested_action", checkOfOurs, checkBuild, "rebuild", checkPull12),
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromButton, Name: builder.CommandRebuild, BuildID: checkBuild, Pull: 12})}, ""},
	{"button no cache", "check_run", checkRunBody("requested_action", checkOfOurs, checkBuild, "no-cache", ""),
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromButton, Name: builder.CommandRebuild, NoCache: true, BuildID: checkBuild})}, ""},
	{"button cancel", "check_run", checkRunBody("requested_action", checkOfOurs, checkBuild, "cancel", checkPullAbroad+","+checkPull12),
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromButton, Name: builder.CommandCancel, BuildID: checkBuild, Pull: 12})}, ""},
	{"another button", "check_run", checkRunBody("requested_action", checkOfOurs, checkBuild, "fix", ""), nil, "check_run.requested_action: no button of ours: not wanted"},
	{"button of another app", "check_run", checkRunBody("requested_action", checkOfOther, checkBuild, "rebuild", ""), nil, "check_run.requested_action: the check of another app: not wanted"},
	{"re-run", "check_run", checkRunBody("rerequested", checkOfOurs, checkBuild, "", checkPullAbroad),
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild, BuildID: checkBuild})}, ""},
	{"re-run of the aggregate", "check_run", checkRunBody("rerequested", checkOfOurs, "", "", ""),
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild})}, ""},
	{"check done", "check_run", checkRunBody("completed", checkOfOurs, checkBuild, "", ""), nil, "check_run.completed: not wanted"},
	{"re-run of all", "check_suite", `{"action":"rerequested","check_suite":{"head_sha":"` + hookSHA2 + `",` + checkOfOurs + `,"pull_requests":[` + checkPull12 + `]},` + hookIn + `}`,
		[]builder.Event{commandedEvent(hookSHA2, builder.Command{Source: builder.FromRerun, Name: builder.CommandRebuild, Pull: 12})}, ""},
	{"new suite", "check_suite", `{"action":"requested","check_suite":{"head_sha":"` + hookSHA2 + `",` + checkOfOurs + `},` + hookIn + `}`, nil, "check_suite.requested: not wanted"},

	{"installed", "installation", `{"action":"created","installation":{"id":5,"account":{"login":"Acme"}},"repositories":` + twoRepositories + `,"sender":` + userAnn + `}`,
		[]builder.Event{installedEvent("77", "hello.go", false), installedEvent("78", "b", false)}, ""},
	{"not suspended any more", "installation", `{"action":"unsuspend","installation":{"id":5},"sender":` + userAnn + `}`, nil, "installation.unsuspend: it names no repository: not wanted"},
	{"uninstalled", "installation", `{"action":"deleted","installation":{"id":5,"account":{"login":"Acme"}},"repositories":` + twoRepositories + `,"sender":` + userAnn + `}`, []builder.Event{allWithdrawnEvent("Acme")}, ""},
	{"suspended", "installation", `{"action":"suspend","installation":{"id":5,"account":{"slug":"big-corp"}},"sender":` + userAnn + `}`, []builder.Event{allWithdrawnEvent("big-corp")}, ""},
	{"more permissions", "installation", `{"action":"new_permissions_accepted","installation":{"id":5}}`, nil, "installation.new_permissions_accepted: not wanted"},
	{"repositories added", "installation_repositories", `{"action":"added","installation":{"id":5},"repositories_added":` + twoRepositories + `,"repositories_removed":[],"sender":` + userAnn + `}`,
		[]builder.Event{installedEvent("77", "hello.go", false), installedEvent("78", "b", false)}, ""},
	{"repositories removed", "installation_repositories", `{"action":"removed","installation":{"id":5},"repositories_added":[],"repositories_removed":` + twoRepositories + `,"sender":` + userAnn + `}`,
		[]builder.Event{installedEvent("77", "hello.go", true), installedEvent("78", "b", true)}, ""},
	{"repository deleted", "repository", `{"action":"deleted",` + hookIn + `}`, []builder.Event{func() builder.Event {
		e := installedEvent("77", "hello.go", true)
		e.Repository.DefaultBranch = "main"
		return e
	}()}, ""},
	{"repository renamed", "repository", `{"action":"renamed",` + hookIn + `}`, nil, "repository.renamed: not wanted"},
	{"ping", "ping", `{"zen":"x","hook_id":1}`, nil, "ping: not wanted"},
	{"a star", "star", `{"action":"created",` + hookIn + `}`, nil, "star.created: not wanted"},
	{"what GitHub will invent", "time_machine", `{"action":"went back"}`, nil, "time_machine: not wanted"},
}

func allWithdrawnEvent(account string) builder.Event {
	return builder.Event{ID: "github:" + hookDelivery, Kind: builder.Installation, Withdrawn: true, Actor: "ann",
		Repository: builder.Repository{Forge: "github", ID: "installation-5", Owner: account, Name: "*", Installation: "5"}}
}

// TestContractOfDeliveries holds deliveries to what every forge promises.
func TestContractOfDeliveries(t *testing.T) {
	a := newIntake("mergify[bot]")
	s := forgetest.Subject{Instance: github.Instance, Verifier: a}
	for _, d := range hookDeliveries {
		header := hookHeader(d.event, hookDelivery, []byte(d.body))
		s.Deliveries = append(s.Deliveries, forgetest.Delivery{Name: d.name, Header: header, Body: []byte(d.body), Want: d.want})
		if d.ignored == "" {
			continue
		}
		if _, err := a.Events(header, []byte(d.body)); err == nil || err.Error() != d.ignored {
			t.Errorf("%s:\ngot  %v\nwant %s", d.name, err, d.ignored)
		}
	}
	forgetest.Run(t, s)
}

// TestBrokenPayloads: a payload that is signed and makes no sense is refused
// with what is wrong with it.
func TestBrokenPayloads(t *testing.T) {
	a := newIntake()
	fine := pushBody("refs/heads/main", hookSHA1, hookSHA2, `{"id":"`+hookSHA2+`"}`)
	for _, tt := range []struct{ name, event, delivery, body, want string }{
		{"no event", "", "d", fine, "there is no X-GitHub-Event header that names an event"},
		{"odd event", "push\n", "d", fine, "there is no X-GitHub-Event header that names an event"},
		{"no delivery", "push", "", fine, "there is no X-GitHub-Delivery header of 1 to 100 letters, digits and dashes"},
		{"delivery with a colon", "push", "a:b", fine, "there is no X-GitHub-Delivery header of 1 to 100 letters, digits and dashes"},
		{"long delivery", "push", strings.Repeat("d", 101), fine, "there is no X-GitHub-Delivery header of 1 to 100 letters, digits and dashes"},
		{"commit in capitals", "push", "d", pushBody("refs/heads/main", hookSHA1, strings.Repeat("A", 40), "null"), "\"" + strings.Repeat("A", 40) + "\" is no commit"},
		{"short commit", "push", "d", pushBody("refs/heads/main", "12", hookSHA1, "null"), `"12" is no commit`},
		{"an option as a commit", "push", "d", pushBody("refs/heads/main", hookSHA1, "--upload-pack=x", "null"), `"--upload-pack=x" is no commit`},
		{"from nothing to nothing", "push", "d", pushBody("refs/heads/main", hookSHA0, hookSHA0, "null"), `push: ref "refs/heads/main" went from nothing to nothing`},
		{"branch without a name", "push", "d", pushBody("refs/heads/", hookSHA0, hookSHA1, "null"), `push: ref "refs/heads/" went from nothing to nothing`},
		{"no repository", "push", "d", `{"ref":"refs/heads/main","before":"` + hookSHA0 + `","after":"` + hookSHA1 + `"}`, "it names no repository"},
		{"repository with a path", "push", "d", strings.Replace(fine, `"hello.go"`, `"../x"`, 1), `repository "Acme/hello.go" has no id, owner or name`},
		{"repository ..", "push", "d", strings.Replace(fine, `"hello.go"`, `".."`, 1), `repository "Acme/hello.go" has no id, owner or name`},
		{"repository without an id", "push", "d", strings.Replace(fine, `"id":77`, `"id":0`, 1), `repository "Acme/hello.go" has no id, owner or name`},
		{"pull request without a head", "pull_request", "d", strings.Replace(pullBody("opened", "", sameHead), hookSHA2, hookSHA0, 1), "the commit is all zeros"},
		{"pull request without a number", "pull_request", "d", strings.Replace(pullBody("opened", "", sameHead), `"number":12`, `"number":0`, 1), "the pull request has no number or base"},
		{"odd build", "check_run", "d", checkRunBody("rerequested", checkOfOurs, "../../x", "", ""), `check_run: external_id "../../x" is no build`},
		{"a comment's deletion as the installation's", "installation", "d", issueCommentBody("deleted", userAnn, onPullRequest, "x"), "installation: it has no id or no account"},
		{"a repository's deletion as the installation's", "installation", "d", `{"action":"deleted",` + hookIn + `}`, "installation: it has no id or no account"},
		{"a comment's deletion as the repository's", "repository", "d", issueCommentBody("deleted", userAnn, onPullRequest, "x"), "repository: not that was deleted, but a comment"},
		{"a merge queue's tag", "merge_group", "d", `{"action":"checks_requested","merge_group":{"head_sha":"` + hookSHA2 + `","head_ref":"v1","base_sha":"` + hookSHA1 + `"},` + hookIn + `}`, `merge_group: "v1" is no branch`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hookHeader(tt.event, tt.delivery, []byte(tt.body))
			events, err := a.Events(h, []byte(tt.body))
			if !errors.Is(err, forge.ErrPayload) || len(events) != 0 {
				t.Fatalf("%v, %v, want ErrPayload", events, err)
			}
			if want := "payload cannot be read: " + tt.want; err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	h := hookHeader("push", "d", []byte("payload=x"))
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err := a.Events(h, []byte("payload=x"))
	if want := "payload cannot be read: the webhook sends forms: set its content type to application/json"; err == nil || err.Error() != want {
		t.Errorf("a form:\ngot  %v\nwant %s", err, want)
	}
}

func TestEventType(t *testing.T) {
	a := newIntake()
	got := map[string]string{}
	for _, event := range []string{"push", "ping", "create", "merge_group", "star", "", "acme/secret"} {
		got[event] = a.EventType(hookHeader(event, "d", nil))
	}
	want := map[string]string{"push": "push", "ping": "ping", "create": "create", "merge_group": "merge_group", "star": "other", "": "other", "acme/secret": "other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}
