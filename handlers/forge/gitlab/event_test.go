package gitlab

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

const (
	hookDelivery = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
	hookEventID  = "13792a34-cac6-4fda-95a8-c58e00a3954e"
)

var (
	hookSHA0 = strings.Repeat("0", 40)
	hookSHA1 = strings.Repeat("1", 40)
	hookSHA2 = strings.Repeat("2", 40)
	hookSHA3 = strings.Repeat("3", 40)

	hookRepo = builder.Repository{Forge: hookInstance, ID: "77", Owner: "acme/platform", Name: "hello.go", DefaultBranch: "main"}
)

// hookHeader is the header of a delivery as GitLab sends it.
func hookHeader(event, delivery string) http.Header {
	h := tokenHeader(hookSecret)
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "GitLab/18.1.0-ee")
	h.Set("X-Gitlab-Event", event)
	h.Set("X-Gitlab-Instance", "https://gitlab.example.com")
	h.Set("X-Gitlab-Webhook-UUID", "02affd2d-2cba-4033-917d-ec22d5dc4b38")
	h.Set("X-Gitlab-Event-UUID", hookEventID)
	h.Set("Idempotency-Key", delivery)
	return h
}

// hookProject is what nearly all payloads have.
const (
	hookProject = `"project":{"id":77,"name":"Hello","namespace":"Platform","path_with_namespace":"acme/platform/hello.go","default_branch":"main"}`
	hookUser    = `"user":{"id":5,"name":"Ann","username":"ann"}`
	hookBot     = `"user":{"id":9,"name":"bot","username":"project_77_bot_1a2b"}`
)

func hookPush(kind, ref, before, after, checkout string) string {
	return fmt.Sprintf(`{"object_kind":%q,"event_name":%q,"before":%q,"after":%q,"ref":%q,"ref_protected":true,"checkout_sha":%s,"message":"x",`+
		`"user_id":5,"user_username":"ann","project_id":77,%s,"commits":[{"id":"x","before":"y"}],"total_commits_count":1,"repository":{"name":"Hello"}}`,
		kind, kind, before, after, ref, checkout, hookProject)
}

func quoted(s string) string { return `"` + s + `"` }

// hookMerge is a merge request: what else its object_attributes has, and what
// changed.
func hookMerge(user, action, state, more, changes string) string {
	return fmt.Sprintf(`{"object_kind":"merge_request","event_type":"merge_request",%s,%s,"object_attributes":{"id":99,"iid":12,"target_branch":"main",`+
		`"source_branch":"topic","author_id":5,"state":%q,"target_project_id":77,%s"action":%q},"labels":[],"changes":{%s}}`,
		user, hookProject, state, more, action, changes)
}

const (
	hookSameProject = `"source_project_id":77,"source":{"path_with_namespace":"acme/platform/hello.go"},`
	hookFork        = `"source_project_id":88,"source":{"path_with_namespace":"eve/tools/hello"},`
	hookForkGone    = `"source_project_id":null,"source":null,`
)

func hookLast(commit string) string { return `"last_commit":{"id":` + quoted(commit) + `},` }

func hookNote(user, on, more, body, place string) string {
	return fmt.Sprintf(`{"object_kind":"note","event_type":"note",%s,"project_id":77,%s,"object_attributes":{"id":4711,"note":%q,"noteable_type":%q,%s"system":false,"url":"x"}%s}`,
		user, hookProject, body, on, more, place)
}

const (
	hookCreated    = `"action":"create","internal":false,`
	hookOnMerge    = `,"merge_request":{"id":7,"iid":12,"target_project_id":77,"last_commit":{"id":"x"}}`
	hookSystemGone = `{"event_name":"project_destroy","name":"Hello","path":"hello.go","path_with_namespace":"acme/platform/hello.go","project_id":77,"project_visibility":"internal"}`
)

func hookEvent(kind builder.EventKind, ref, before, commit string) builder.Event {
	return builder.Event{ID: "gitlab:" + hookDelivery + ":" + ref, Kind: kind, Repository: hookRepo, Ref: ref, Before: before, Commit: commit, Actor: "ann", Via: "webhook"}
}

func hookPulled(kind builder.EventKind, before string, change func(*builder.Pull)) []builder.Event {
	e := hookEvent(kind, "refs/pull/12/head", before, hookSHA2)
	e.Pull = &builder.Pull{Number: 12, Author: "ann", HeadBranch: "topic", Head: hookSHA2, BaseBranch: "main", HeadOwner: "acme/platform", Open: true}
	if change != nil {
		change(e.Pull)
	}
	e.Commit = e.Pull.Head
	return []builder.Event{e}
}

func hookCommanded(commit string, pull int, body string) []builder.Event {
	return []builder.Event{{ID: "gitlab:note-77-4711", Via: "webhook", Kind: builder.Commanded, Repository: hookRepo, Commit: commit, Actor: "ann",
		Command: &builder.Command{Source: builder.FromComment, Pull: pull, Comment: "4711", Body: body}}}
}

func hookDestroyed() []builder.Event {
	repo := hookRepo
	repo.DefaultBranch = ""
	return []builder.Event{{ID: "gitlab:" + hookDelivery + "-77", Kind: builder.Installation, Repository: repo, Withdrawn: true, Via: "webhook"}}
}

func hookMergePushed(action, old string) string {
	return hookMerge(hookUser, action, "opened", hookSameProject+hookLast(hookSHA2)+`"oldrev":`+quoted(old)+`,`, "")
}

type hookCase struct {
	name, event, body string
	want              []builder.Event
	ignored           string
}

// hookDeliveries are what GitLab sends and what it comes to: events, or the
// reason why there are none.
func hookDeliveries() []hookCase {
	open := hookSameProject + hookLast(hookSHA2)
	return []hookCase{
		{"new branch", "Push Hook", hookPush("push", "refs/heads/feature/a", hookSHA0, hookSHA1, quoted(hookSHA1)), []builder.Event{hookEvent(builder.BranchPushed, "refs/heads/feature/a", "", hookSHA1)}, ""},
		{"branch moved, by force or not", "Push Hook", hookPush("push", "refs/heads/main", hookSHA1, hookSHA2, quoted(hookSHA2)), []builder.Event{hookEvent(builder.BranchPushed, "refs/heads/main", hookSHA1, hookSHA2)}, ""},
		{"branch deleted", "Push Hook", hookPush("push", "refs/heads/main", hookSHA1, hookSHA0, "null"), []builder.Event{hookEvent(builder.BranchDeleted, "refs/heads/main", hookSHA1, "")}, ""},
		{"tag", "Tag Push Hook", hookPush("tag_push", "refs/tags/v1", hookSHA0, hookSHA1, quoted(hookSHA1)), []builder.Event{hookEvent(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
		{"annotated tag: its commit, not its object", "Tag Push Hook", hookPush("tag_push", "refs/tags/v1", hookSHA0, hookSHA3, quoted(hookSHA1)), []builder.Event{hookEvent(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
		{"annotated tag moved: before is an object too", "Tag Push Hook", hookPush("tag_push", "refs/tags/v1", hookSHA3, hookSHA2, quoted(hookSHA1)), []builder.Event{hookEvent(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
		{"tag deleted", "Tag Push Hook", hookPush("tag_push", "refs/tags/v1", hookSHA3, hookSHA0, "null"), []builder.Event{hookEvent(builder.TagDeleted, "refs/tags/v1", "", "")}, ""},
		{"tag of a tree", "Tag Push Hook", hookPush("tag_push", "refs/tags/v1", hookSHA0, hookSHA3, "null"), nil, "tag_push: the tag names no commit, or is gone again: not wanted"},
		{"notes", "Push Hook", hookPush("push", "refs/notes/commits", hookSHA0, hookSHA1, quoted(hookSHA1)), nil, "push: neither a branch nor a tag: not wanted"},
		{"push of a server that does not name its projects' ids", "Push Hook", strings.Replace(hookPush("push", "refs/heads/main", hookSHA1, hookSHA2, quoted(hookSHA2)), `"project":{"id":77,`, `"project":{`, 1), []builder.Event{hookEvent(builder.BranchPushed, "refs/heads/main", hookSHA1, hookSHA2)}, ""},
		{"push of another template", "Push Hook", `{"event":"push"}`, nil, `push: the payload is of ""; remove the webhook's custom template: not wanted`},

		{"merge request", "Merge Request Hook", hookMerge(hookUser, "open", "opened", open, ""), hookPulled(builder.PullChanged, "", nil), ""},
		{"merge request of somebody else", "Merge Request Hook", strings.Replace(hookMerge(hookUser, "open", "opened", open, ""), `"author_id":5`, `"author_id":6`, 1), hookPulled(builder.PullChanged, "", func(p *builder.Pull) { p.Author = "" }), ""},
		{"merge request reopened", "Merge Request Hook", hookMerge(hookUser, "reopen", "opened", open, ""), hookPulled(builder.PullChanged, "", nil), ""},
		{"merge request pushed", "Merge Request Hook", hookMergePushed("update", hookSHA1), hookPulled(builder.PullChanged, hookSHA1, nil), ""},
		{"merge request with another target", "Merge Request Hook", hookMerge(hookUser, "update", "opened", open, `"target_branch":{"previous":"dev","current":"main"}`), hookPulled(builder.PullChanged, "", nil), ""},
		{"merge request with another title", "Merge Request Hook", hookMerge(hookUser, "update", "opened", open+`"work_in_progress":true,`, `"title":{"previous":"x","current":"Draft: x"},"draft":{"previous":false,"current":true}`), nil, "merge_request.update: no commit has moved: not wanted"},
		{"merge request approved", "Merge Request Hook", hookMerge(hookUser, "approved", "opened", open, ""), nil, "merge_request.approved: no commit has moved: not wanted"},
		{"approvals reset by a push", "Merge Request Hook", hookMerge(hookUser, "unapproved", "opened", open+`"system":true,"system_action":"approvals_reset_on_push",`, ""), nil, "merge_request.unapproved: no commit has moved: not wanted"},
		{"closed merge request with another target", "Merge Request Hook", hookMerge(hookUser, "update", "closed", open, `"target_branch":{"previous":"dev","current":"main"}`), nil, "merge_request.update: it is closed: not wanted"},
		{"merge request of a fork", "Merge Request Hook", hookMerge(hookUser, "open", "opened", hookFork+hookLast(hookSHA2), ""), hookPulled(builder.PullChanged, "", func(p *builder.Pull) { p.Fork, p.HeadOwner = true, "eve/tools" }), ""},
		{"merge request of a fork that is gone", "Merge Request Hook", hookMerge(hookUser, "open", "opened", hookForkGone+hookLast(hookSHA2), ""), hookPulled(builder.PullChanged, "", func(p *builder.Pull) { p.Fork, p.HeadOwner = true, "ann" }), ""},
		{"merge request without a commit", "Merge Request Hook", hookMerge(hookUser, "open", "opened", hookSameProject+`"last_commit":null,`, ""), nil, "merge_request.open: it has no commit: not wanted"},
		{"merge request merged", "Merge Request Hook", hookMerge(hookUser, "merge", "merged", open, ""), hookPulled(builder.PullClosed, "", func(p *builder.Pull) { p.Open, p.Merged = false, true }), ""},
		{"merge request closed", "Merge Request Hook", hookMerge(hookUser, "close", "closed", open, ""), hookPulled(builder.PullClosed, "", func(p *builder.Pull) { p.Open = false }), ""},
		{"merge request closed, its branch gone", "Merge Request Hook", hookMerge(hookUser, "close", "closed", hookSameProject+`"last_commit":null,`, ""), hookPulled(builder.PullClosed, "", func(p *builder.Pull) { p.Open, p.Head = false, "" }), ""},
		{"merge request that is tried", "Merge Request Hook", hookMerge(hookUser, "", "opened", open, ""), nil, "merge_request: it does not say what was done: not wanted"},

		{"command on a merge request", "Note Hook", hookNote(hookUser, "MergeRequest", hookCreated, "/rebuild api\r\n", hookOnMerge), hookCommanded("", 12, "/rebuild api\r\n"), ""},
		{"command on a line of a merge request's commit", "Note Hook", hookNote(hookUser, "MergeRequest", hookCreated+`"type":"DiffNote","commit_id":`+quoted(hookSHA2)+`,`, "/build", hookOnMerge), hookCommanded("", 12, "/build"), ""},
		{"command of an old server", "Note Hook", hookNote(hookUser, "MergeRequest", "", "/build", hookOnMerge), hookCommanded("", 12, "/build"), ""},
		{"command on a commit", "Note Hook", hookNote(hookUser, "Commit", hookCreated+`"commit_id":`+quoted(hookSHA2)+`,`, "  /build", `,"commit":{"id":"x"}`), hookCommanded(hookSHA2, 0, "  /build"), ""},
		{"command of a bot", "Note Hook", hookNote(hookBot, "MergeRequest", hookCreated, "/build", hookOnMerge), nil, "note.create: written by a bot: not wanted"},
		{"command of a bot that is allowed", "Note Hook", hookNote(`"user":{"username":"group_3_bot_Deps"}`, "MergeRequest", hookCreated, "/build", hookOnMerge), func() []builder.Event {
			events := hookCommanded("", 12, "/build")
			events[0].Actor = "group_3_bot_Deps"
			return events
		}(), ""},
		{"note without a command", "Note Hook", hookNote(hookUser, "MergeRequest", hookCreated, "see a/b\nor/and", hookOnMerge), nil, "note.create: no command: not wanted"},
		{"edited note", "Note Hook", hookNote(hookUser, "MergeRequest", `"action":"update",`, "/build", hookOnMerge), nil, "note.update: only new notes are commands: not wanted"},
		{"note of GitLab's", "Note Hook", strings.Replace(hookNote(hookUser, "MergeRequest", hookCreated, "/build", hookOnMerge), `"system":false`, `"system":true`, 1), nil, "note.create: written by GitLab: not wanted"},
		{"internal note", "Note Hook", hookNote(hookUser, "MergeRequest", `"action":"create","internal":true,`, "/build", hookOnMerge), nil, "note.create: an internal note; what we answer is for everybody: not wanted"},
		{"confidential note", "Confidential Note Hook", hookNote(hookUser, "MergeRequest", hookCreated, "/build", hookOnMerge), nil, "confidential_note.create: an internal note; what we answer is for everybody: not wanted"},
		{"note on an issue", "Note Hook", hookNote(hookUser, "Issue", hookCreated, "/build", `,"issue":{"iid":3}`), nil, "note.create: neither on a merge request nor on a commit: not wanted"},
		{"note on a snippet", "Note Hook", hookNote(hookUser, "Snippet", hookCreated, "/build", `,"snippet":{"id":3}`), nil, "note.create: neither on a merge request nor on a commit: not wanted"},

		{"push, by a system hook", "System Hook", strings.Replace(hookPush("push", "refs/heads/main", hookSHA1, hookSHA2, quoted(hookSHA2)), `"object_kind":"push",`, "", 1), []builder.Event{hookEvent(builder.BranchPushed, "refs/heads/main", hookSHA1, hookSHA2)}, ""},
		{"tag, by a system hook", "System Hook", hookPush("tag_push", "refs/tags/v1", hookSHA0, hookSHA3, quoted(hookSHA1)), []builder.Event{hookEvent(builder.TagPushed, "refs/tags/v1", "", hookSHA1)}, ""},
		{"merge request, by a system hook of an old server", "System Hook", strings.NewReplacer(`"project":{"id":77,`, `"project":{`, `"user":{"id":5,`, `"user":{`).Replace(hookMerge(hookUser, "open", "opened", open, "")), hookPulled(builder.PullChanged, "", func(p *builder.Pull) { p.Author = "" }), ""},
		{"all refs of a push, by a system hook", "System Hook", `{"event_name":"repository_update","project_id":77,` + hookProject + `,"changes":[{"before":"x"}],"refs":["refs/heads/main"]}`, nil, "repository_update: push events tell the same: not wanted"},
		{"project destroyed, by a system hook", "System Hook", hookSystemGone, hookDestroyed(), ""},
		{"project destroyed, by a group's webhook", "Project Hook", hookSystemGone, hookDestroyed(), ""},
		{"project created", "Project Hook", strings.Replace(hookSystemGone, "project_destroy", "project_create", 1), nil, "project_create: its next push tells what it is called: not wanted"},
		{"project renamed", "System Hook", strings.Replace(hookSystemGone, "project_destroy", "project_rename", 1), nil, "project_rename: its next push tells what it is called: not wanted"},
		{"project moved", "System Hook", strings.Replace(hookSystemGone, "project_destroy", "project_transfer", 1), nil, "project_transfer: its next push tells what it is called: not wanted"},
		{"user made", "System Hook", `{"event_name":"user_create","username":"js"}`, nil, "user_create: not wanted"},
		{"something without a name", "System Hook", `{}`, nil, "unnamed: not wanted"},
		{"pipeline", "Pipeline Hook", `{"object_kind":"pipeline",` + hookProject + `}`, nil, "pipeline: not wanted"},
		{"award", "Emoji Hook", `{"object_kind":"emoji","object_attributes":{"action":"award"}}`, nil, "emoji.award: not wanted"},
		{"what GitLab will invent", "Time Machine Hook", `{"object_kind":"time_machine"}`, nil, "time_machine: not wanted"},
	}
}

func hookForge(t testing.TB) *Forge {
	return newIntake(t, fixedSecrets{secrets: []string{"ours"}}, []string{hookSecret}, "Group_3_bot_deps")
}

// TestDeliveries: what GitLab tells comes to these events.
func TestDeliveries(t *testing.T) {
	f := hookForge(t)
	for _, tt := range hookDeliveries() {
		t.Run(tt.name, func(t *testing.T) {
			header := hookHeader(tt.event, hookDelivery)
			if err := f.Verify(header, []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				events, err := f.Events(header, []byte(tt.body))
				if diff := cmp.Diff(tt.want, events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if got := fmt.Sprint(err); err != nil && got != tt.ignored || err == nil != (tt.ignored == "") {
					t.Errorf("got  %s\nwant %s", got, tt.ignored)
				}
				if err != nil && !errors.Is(err, forge.ErrIgnored) {
					t.Errorf("%v, want ErrIgnored", err)
				}
				for _, e := range events {
					if err := forgetest.CheckEvent(hookInstance, e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestOddDeliveries: what is genuine and makes no sense is answered as ignored,
// or GitLab would switch the webhook off; what is no payload is refused.
func TestOddDeliveries(t *testing.T) {
	f := hookForge(t)
	fine := hookPush("push", "refs/heads/main", hookSHA1, hookSHA2, quoted(hookSHA2))
	merge := hookMerge(hookUser, "open", "opened", hookSameProject+hookLast(hookSHA2), "")
	note := hookNote(hookUser, "MergeRequest", hookCreated, "/build", hookOnMerge)
	for _, tt := range []struct{ name, event, body, want string }{
		{"commit in capitals", "Push Hook", strings.Replace(fine, hookSHA1, strings.Repeat("A", 40), 1), "\"" + strings.Repeat("A", 40) + "\" is no commit"},
		{"an option as a commit", "Push Hook", strings.Replace(fine, hookSHA1, "--upload-pack=x", 1), `"--upload-pack=x" is no commit`},
		{"from nothing to nothing", "Push Hook", hookPush("push", "refs/heads/main", hookSHA0, hookSHA0, "null"), `ref "refs/heads/main" went from nothing to nothing`},
		{"branch without a name", "Push Hook", strings.Replace(fine, "refs/heads/main", "refs/heads/", 1), `ref "refs/heads/" went from nothing to nothing`},
		{"numbers as text", "Push Hook", strings.Replace(fine, `"ref":"refs/heads/main"`, `"ref":7`, 1), ""},
		{"no project", "Push Hook", `{"object_kind":"push"}`, `project "" has no id or path`},
		{"project without a group", "Push Hook", strings.Replace(fine, "acme/platform/hello.go", "hello.go", 1), `project "hello.go" has no id or path`},
		{"project ..", "Push Hook", strings.Replace(fine, "acme/platform/hello.go", "acme/../hello", 1), `project "acme/../hello" has no id or path`},
		{"project in the root", "Push Hook", strings.Replace(fine, "acme/platform/hello.go", "/hello", 1), `project "/hello" has no id or path`},
		{"project id of two kinds", "Push Hook", strings.NewReplacer(`"project_id":77`, `"project_id":"77"`, `"id":77`, `"id":"77"`).Replace(fine), `project "acme/platform/hello.go" has no id or path`},
		{"merge request without a number", "Merge Request Hook", strings.Replace(merge, `"iid":12`, `"iid":0`, 1), "the merge request has no number, source or target"},
		{"merge request with a huge number", "Merge Request Hook", strings.Replace(merge, `"iid":12`, `"iid":99999999999`, 1), "the merge request has no number, source or target"},
		{"merge request of another project", "Merge Request Hook", strings.Replace(merge, `"target_project_id":77`, `"target_project_id":78`, 1), "the merge request is project 78's, not project 77's"},
		{"merge request with an odd head", "Merge Request Hook", strings.Replace(merge, hookSHA2, "HEAD", 1), `"HEAD" is no commit`},
		{"note without an id", "Note Hook", strings.Replace(note, `"id":4711`, `"id":-1`, 1), "the note has no id or author"},
		{"note of nobody", "Note Hook", strings.Replace(note, `"username":"ann"`, `"username":null`, 1), "the note has no id or author"},
		{"note on another project's merge request", "Note Hook", strings.Replace(note, `"target_project_id":77`, `"target_project_id":78`, 1), "the note's merge request has no number, or is another project's"},
		{"note on a commit without one", "Note Hook", hookNote(hookUser, "Commit", hookCreated, "/build", ""), `"" is no commit`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events, err := f.Events(hookHeader(tt.event, hookDelivery), []byte(tt.body))
			if !errors.Is(err, forge.ErrIgnored) || len(events) != 0 {
				t.Fatalf("%v, %v, want ErrIgnored", events, err)
			}
			if want := "not wanted: payload cannot be read: " + tt.want; tt.want != "" && !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got  %v\nwant … %s", err, want)
			}
		})
	}
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "half": fine[:len(fine)-1], "more": fine + "x", "not UTF-8": strings.Replace(fine, "main", "\xff", 1),
		"deep": strings.Repeat(`{"a":`, 1_000_000), "a form": "payload=x", "large and half": fine[:len(fine)-1] + strings.Repeat(" ", smallBody),
	} {
		if events, err := f.Events(hookHeader("Push Hook", hookDelivery), []byte(body)); !errors.Is(err, forge.ErrPayload) || errors.Is(err, forge.ErrIgnored) || len(events) != 0 {
			t.Errorf("%s: %v, %v, want ErrPayload", name, events, err)
		}
	}
	for _, event := range []string{"", "push", "Push\n Hook", "Push/../ Hook", strings.Repeat("x", 101) + " Hook"} {
		if events, err := f.Events(hookHeader(event, hookDelivery), []byte(fine)); !errors.Is(err, forge.ErrPayload) || len(events) != 0 {
			t.Errorf("event %q: %v, %v, want ErrPayload", event, events, err)
		}
	}
}

// TestScopes: the token of a webhook of ours is good for what it was made for.
func TestScopes(t *testing.T) {
	f := hookForge(t)
	push := hookPush("push", "refs/heads/main", hookSHA1, hookSHA2, quoted(hookSHA2))
	for _, tt := range []struct {
		name, event, body string
		scope             scope
		events            int
		want              string
	}{
		{"its project", "Push Hook", push, scope{Kind: scopeProject, ID: 77}, 1, ""},
		{"another project", "Push Hook", push, scope{Kind: scopeProject, ID: 78}, 0, "the webhook of project 78 tells of project 77: signature does not match"},
		{"another project's merge request", "Merge Request Hook", hookMergePushed("update", hookSHA1), scope{Kind: scopeProject, ID: 78}, 0, "the webhook of project 78 tells of project 77: signature does not match"},
		{"another project's note", "Note Hook", hookNote(hookUser, "MergeRequest", hookCreated, "/build", hookOnMerge), scope{Kind: scopeProject, ID: 78}, 0, "the webhook of project 78 tells of project 77: signature does not match"},
		{"another project's end", "System Hook", hookSystemGone, scope{Kind: scopeProject, ID: 78}, 0, "the webhook of project 78 tells of project 77: signature does not match"},
		{"two ids", "Push Hook", strings.Replace(push, `"project_id":77`, `"project_id":78`, 1), scope{Kind: scopeProject, ID: 77}, 0, "the webhook of project 77 tells of project 78: signature does not match"},
		{"a group's", "Push Hook", push, scope{Kind: scopeGroup, ID: 78}, 1, ""},
		{"a project's that is tried", "Push Hook", push, scope{Kind: scopeProject, ID: 77, Probe: true}, 0, "push: the webhook is being tried: not wanted"},
		{"a group's that is tried", "Note Hook", `{}`, scope{Kind: scopeGroup, ID: 3, Probe: true}, 0, "note: the webhook is being tried: not wanted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := hookHeader(tt.event, hookDelivery)
			header.Set("X-Gitlab-Token", hookToken("ours", hookInstance, tt.scope))
			if err := f.Verify(header, []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			events, err := f.Events(header, []byte(tt.body))
			if got := fmt.Sprint(err); len(events) != tt.events || err != nil && got != tt.want || err == nil != (tt.want == "") {
				t.Errorf("%d events, %v\nwant %d, %s", len(events), err, tt.events, tt.want)
			}
		})
	}
}

// TestDeliveryIDs: the same delivery has one ID however often it comes, and two
// deliveries never share one.
func TestDeliveryIDs(t *testing.T) {
	f := hookForge(t)
	id := func(key, uuid, ref string) string {
		h := hookHeader("Push Hook", key)
		h.Set("X-Gitlab-Event-UUID", uuid)
		events, err := f.Events(h, []byte(hookPush("push", ref, hookSHA1, hookSHA2, quoted(hookSHA2))))
		if err != nil {
			t.Fatal(err)
		}
		return events[0].ID
	}
	const a, b = "refs/heads/a", "refs/heads/b"
	merged := func(old string) string {
		h := hookHeader("Merge Request Hook", "")
		events, err := f.Events(h, []byte(hookMergePushed("update", old)))
		if err != nil {
			t.Fatal(err)
		}
		return events[0].ID
	}
	for _, tt := range []struct {
		name     string
		one, two string
		same     bool
	}{
		{"delivered again", id("key", "uuid-1", a), id("key", "uuid-2", a), true},
		{"pushed again", id("key-1", "uuid", a), id("key-2", "uuid", a), false},
		{"an old server's, delivered again", id("", "uuid", a), id("", "uuid", a), true},
		{"an old server's, pushed again", id("", "uuid-1", a), id("", "uuid-2", a), false},
		{"an old server's, two of one job", id("", "uuid", a), id("", "uuid", b), false},
		{"an old server's, two of one merge request and job", merged(hookSHA1), merged(hookSHA3), false},
		{"a very old server's, delivered again", id("", "", a), id("", "", a), true},
		{"a very old server's, another branch", id("", "", a), id("", "", b), false},
		{"keys that could be a name", id("x:y", "", a), id("", "", a), true},
	} {
		if (tt.one == tt.two) != tt.same {
			t.Errorf("%s: %s and %s", tt.name, tt.one, tt.two)
		}
	}
	if got, want := id(hookDelivery, "", a), "gitlab:"+hookDelivery+":"+a; got != want {
		t.Errorf("ID %s, want %s", got, want)
	}
}

func TestEventType(t *testing.T) {
	f := hookForge(t)
	got := map[string]string{}
	for _, event := range []string{"Push Hook", "Tag Push Hook", "Merge Request Hook", "Note Hook", "Confidential Note Hook", "System Hook", "Job Hook", "Time Machine Hook", "", "acme/secret Hook", "Project Destroy Hook"} {
		got[event] = f.EventType(hookHeader(event, "d"))
	}
	want := map[string]string{"Push Hook": "push", "Tag Push Hook": "tag_push", "Merge Request Hook": "merge_request", "Note Hook": "note", "Confidential Note Hook": "confidential_note",
		"System Hook": "system", "Job Hook": "job", "Time Machine Hook": "other", "": "other", "acme/secret Hook": "other", "Project Destroy Hook": "other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}
