package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestReviewOperations calls what the double has of reviews, by the client that
// took over from the one whose types the shapes are held against.
func TestReviewOperations(t *testing.T) {
	w := newWorld(t)
	m, sha := w.open(t, gitlabtest.MergeOptions{})
	c, id, iid := w.as(t, w.AddUser("alice")), w.project.ID(), int64(m.IID())
	check := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, _, err := c.MergeRequests.GetMergeRequest(id, iid, nil)
	check("merge request", err)
	_, _, err = c.MergeRequests.ListProjectMergeRequests(id, &gitlab.ListProjectMergeRequestsOptions{State: gitlab.Ptr("opened")})
	check("merge requests", err)
	diffs, _, err := c.MergeRequests.ListMergeRequestDiffs(id, iid, nil)
	if check("diffs", err); len(diffs) != 1 || diffs[0].NewPath != "Dockerfile" || !strings.Contains(diffs[0].Diff, "+COPY a /") {
		t.Errorf("%+v", diffs)
	}
	of, _, err := c.Commits.ListMergeRequestsByCommit(id, sha)
	if check("of a commit", err); len(of) != 1 || of[0].IID != iid {
		t.Errorf("%+v", of)
	}
	st, _, err := c.Commits.SetCommitStatus(id, sha, &gitlab.SetCommitStatusOptions{State: gitlab.Success, Name: gitlab.Ptr("rb"), Ref: gitlab.Ptr("feature")})
	check("status", err)
	_, _, err = c.Commits.GetCommitStatuses(id, sha, nil)
	check("statuses", err)
	_, _, err = c.Pipelines.ListProjectPipelines(id, &gitlab.ListProjectPipelinesOptions{SHA: &sha})
	check("pipelines", err)
	_, _, err = c.Pipelines.GetPipeline(id, st.PipelineID)
	check("pipeline", err)
	of2, _, err := c.MergeRequests.ListMergeRequestPipelines(id, iid)
	if check("pipelines of the merge request", err); len(of2) != 1 || of2[0].Status != "success" {
		t.Errorf("%+v", of2)
	}

	note, _, err := c.Notes.CreateMergeRequestNote(id, iid, &gitlab.CreateMergeRequestNoteOptions{Body: gitlab.Ptr("hello")})
	check("note", err)
	_, _, err = c.Notes.UpdateMergeRequestNote(id, iid, note.ID, &gitlab.UpdateMergeRequestNoteOptions{Body: gitlab.Ptr("hello there")})
	check("edit", err)
	got, _, err := c.Notes.GetMergeRequestNote(id, iid, note.ID)
	if check("read", err); got.Body != "hello there" {
		t.Errorf("%+v", got)
	}
	award, _, err := c.AwardEmoji.CreateMergeRequestAwardEmojiOnNote(id, iid, note.ID, &gitlab.CreateAwardEmojiOptions{Name: "thumbsup"})
	check("award", err)
	_, _, err = c.AwardEmoji.ListMergeRequestAwardEmojiOnNote(id, iid, note.ID, nil)
	check("awards", err)
	_, err = c.AwardEmoji.DeleteMergeRequestAwardEmojiOnNote(id, iid, note.ID, award.ID)
	check("no award", err)
	_, _, err = c.Notes.ListMergeRequestNotes(id, iid, nil)
	check("notes", err)
	_, err = c.Notes.DeleteMergeRequestNote(id, iid, note.ID)
	check("delete", err)

	thread, _, err := c.Discussions.CreateMergeRequestDiscussion(id, iid, &gitlab.CreateMergeRequestDiscussionOptions{
		Body: gitlab.Ptr("here"), Position: &gitlab.PositionOptions{
			BaseSHA: &one.DiffRefs.BaseSha, StartSHA: &one.DiffRefs.StartSha, HeadSHA: &one.DiffRefs.HeadSha,
			PositionType: gitlab.Ptr("text"), NewPath: gitlab.Ptr("Dockerfile"), OldPath: gitlab.Ptr("Dockerfile"), NewLine: gitlab.Ptr(int64(2)),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	reply, _, err := c.Discussions.AddMergeRequestDiscussionNote(id, iid, thread.ID, &gitlab.AddMergeRequestDiscussionNoteOptions{Body: gitlab.Ptr("why?")})
	check("reply", err)
	_, _, err = c.Discussions.UpdateMergeRequestDiscussionNote(id, iid, thread.ID, reply.ID, &gitlab.UpdateMergeRequestDiscussionNoteOptions{Body: gitlab.Ptr("why not?")})
	check("edit the reply", err)
	_, _, err = c.Discussions.ResolveMergeRequestDiscussion(id, iid, thread.ID, &gitlab.ResolveMergeRequestDiscussionOptions{Resolved: gitlab.Ptr(true)})
	check("resolve", err)
	read, _, err := c.Discussions.GetMergeRequestDiscussion(id, iid, thread.ID)
	if check("thread", err); len(read.Notes) != 2 || !read.Notes[0].Resolved || read.Notes[0].Position.NewLine != 2 {
		t.Errorf("%+v", read)
	}
	_, _, err = c.Discussions.ListMergeRequestDiscussions(id, iid, nil)
	check("threads", err)
	_, err = c.Discussions.DeleteMergeRequestDiscussionNote(id, iid, thread.ID, reply.ID)
	check("delete the reply", err)

	_, _, err = c.Commits.PostCommitComment(id, sha, &gitlab.PostCommitCommentOptions{Note: gitlab.Ptr("nice"), Path: gitlab.Ptr("Dockerfile"), Line: gitlab.Ptr(int64(2)), LineType: gitlab.Ptr("new")})
	check("commit comment", err)
	_, _, err = c.Commits.GetCommitComments(id, sha, nil)
	check("commit comments", err)
	onCommit, _, err := c.Discussions.CreateCommitDiscussion(id, sha, &gitlab.CreateCommitDiscussionOptions{Body: gitlab.Ptr("one")})
	check("commit thread", err)
	answer, _, err := c.Discussions.AddCommitDiscussionNote(id, sha, onCommit.ID, &gitlab.AddCommitDiscussionNoteOptions{Body: gitlab.Ptr("two")})
	check("reply", err)
	_, _, err = c.Discussions.UpdateCommitDiscussionNote(id, sha, onCommit.ID, answer.ID, &gitlab.UpdateCommitDiscussionNoteOptions{Body: gitlab.Ptr("three")})
	check("edit", err)
	_, _, err = c.Discussions.ListCommitDiscussions(id, sha, nil)
	check("commit threads", err)
	_, _, err = c.Discussions.GetCommitDiscussion(id, sha, onCommit.ID)
	check("commit thread", err)
	_, err = c.Discussions.DeleteCommitDiscussionNote(id, sha, onCommit.ID, answer.ID)
	check("delete", err)
	events, _, err := c.Events.ListProjectVisibleEvents(id, &gitlab.ListProjectVisibleEventsOptions{Action: gitlab.Ptr(gitlab.CommentedEventType)})
	if check("events", err); len(events) != 3 {
		t.Errorf("%d events: %+v", len(events), events)
	}
}

// TestNotePositions: at which lines a note can stand. The file has 40 lines, of
// which the merge request changes the 20th and adds one behind it.
func TestNotePositions(t *testing.T) {
	w := newWorld(t)
	lines := make([]string, 40)
	for i := range lines {
		lines[i] = fmt.Sprint("line ", i+1)
	}
	must(w.project.Push(gitlabtest.Push{User: "alice", Files: map[string]string{"long": strings.Join(lines, "\n") + "\n"}}))(t)
	lines[19] = "changed\nadded"
	must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "feature", Files: map[string]string{"long": strings.Join(lines, "\n") + "\n"}}))(t)
	m := must(w.project.OpenMerge(gitlabtest.MergeOptions{User: "alice", Source: "feature"}))(t)
	token := w.AddUser("alice")
	_, body, _ := w.ask(t, token, "GET", w.path("/merge_requests/%d", m.IID()), nil)
	refs := body.(fields)["diff_refs"].(fields)
	const outside = `400 Bad request - Note {:line_code=>["can't be blank", "must be a valid line code"]}`
	for name, tc := range map[string]struct {
		position fields
		want     string
	}{
		"a changed line":                   {fields{"new_path": "long", "old_path": "long", "new_line": 20}, ""},
		"an added line":                    {fields{"new_path": "long", "new_line": 21}, ""},
		"a removed line":                   {fields{"new_path": "long", "old_path": "long", "old_line": 20}, ""},
		"context by both numbers":          {fields{"new_path": "long", "old_path": "long", "old_line": 19, "new_line": 19}, ""},
		"context by one number":            {fields{"new_path": "long", "new_line": 19}, outside},
		"outside the hunk by both numbers": {fields{"new_path": "long", "old_path": "long", "old_line": 39, "new_line": 40}, ""},
		"outside the hunk by one number":   {fields{"new_path": "long", "new_line": 40}, outside},
		"numbers that do not belong":       {fields{"new_path": "long", "old_path": "long", "old_line": 40, "new_line": 40}, outside},
		"a file that is not changed":       {fields{"new_path": "Dockerfile", "new_line": 1}, outside},
		"the whole file":                   {fields{"new_path": "long", "position_type": "file"}, ""},
		"no line":                          {fields{"new_path": "long"}, `400 Bad request - Note {:line_code=>["can't be blank", "must be a valid line code"], :position=>["is incomplete"]}`},
		"no commit":                        {fields{"new_path": "long", "new_line": 20, "head_sha": nil}, "position[head_sha] is missing"},
		"another commit":                   {fields{"new_path": "long", "new_line": 20, "head_sha": strings.Repeat("1", 40)}, outside},
	} {
		t.Run(name, func(t *testing.T) {
			position := fields{"position_type": "text"}
			for _, all := range []fields{refs, tc.position} {
				for k, v := range all {
					position[k] = v
				}
			}
			code, body, _ := w.ask(t, token, "POST", w.path("/merge_requests/%d/discussions", m.IID()), fields{"body": "here", "position": position})
			if got := message(body); got != tc.want || code != map[bool]int{true: 201, false: 400}[tc.want == ""] {
				t.Errorf("%d %q, want %q", code, got, tc.want)
			}
		})
	}
	for _, d := range m.Discussions() {
		if !d.Notes[0].Resolvable || d.Notes[0].Type != "DiffNote" || d.Notes[0].Path != "long" {
			t.Errorf("%+v", d)
		}
	}
}

// TestCommitCommentLines: a line that the commit did not change is left out.
func TestCommitCommentLines(t *testing.T) {
	w := newWorld(t)
	sha := must(w.project.Push(gitlabtest.Push{User: "alice", Files: map[string]string{"Dockerfile": "FROM scratch\nCOPY a /\n"}}))(t)
	for line, want := range map[int]any{2: 2.0, 1: nil, 9: nil} {
		code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/repository/commits/%s/comments", sha), fields{"note": "x", "path": "Dockerfile", "line": line, "line_type": "new"})
		if got := body.(fields)["line"]; code != 201 || got != want {
			t.Errorf("line %d: %d %v", line, code, body)
		}
	}
	if code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/repository/commits/%s/comments", sha), fields{"note": "x", "path": "Dockerfile"}); code != 400 || message(body) != "line is missing" {
		t.Errorf("%d %v", code, body)
	}
	w.Violations() // the client always sends line
}

func TestNoteRules(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) { o.NotesPerMinute = -1 })
	m, _ := w.open(t, gitlabtest.MergeOptions{})
	theirs := must(m.Comment("alice", "mine"))(t)
	w.project.SetMember("bob", gitlabtest.Developer)
	bob, notes := w.AddUser("bob"), w.path("/merge_requests/%d/notes", m.IID())
	for _, tc := range []struct {
		name, method, path string
		params             fields
		code               int
		want               string
	}{
		{"a blank", "POST", notes, fields{"body": " "}, 400, `400 Bad request - Note {:note=>["can't be blank"]}`},
		{"nothing", "POST", notes, fields{}, 400, "body is missing"},
		{"a million", "POST", notes, fields{"body": strings.Repeat("ä", 1_000_000)}, 201, ""},
		{"a million and one", "POST", notes, fields{"body": strings.Repeat("a", 1_000_001)}, 400, `400 Bad request - Note {:note=>["is too long (maximum is 1000000 characters)"]}`},
		{"somebody else's", "PUT", fmt.Sprintf("%s/%d", notes, theirs.ID), fields{"body": "x"}, 403, "403 Forbidden"},
		{"deleting it", "DELETE", fmt.Sprintf("%s/%d", notes, theirs.ID), nil, 403, "403 Forbidden"},
		{"one that is not", "PUT", notes + "/1", fields{"body": "x"}, 404, "404 Not Found"},
		{"no such merge request", "POST", w.path("/merge_requests/99/notes"), fields{"body": "x"}, 404, "404 Not Found"},
		{"an award", "POST", fmt.Sprintf("%s/%d/award_emoji", notes, theirs.ID), fields{"name": "thumbsup"}, 201, ""},
		{"the same award", "POST", fmt.Sprintf("%s/%d/award_emoji", notes, theirs.ID), fields{"name": "thumbsup"}, 404, "404 Award Emoji Name has already been taken Not Found"},
		{"another", "POST", fmt.Sprintf("%s/%d/award_emoji", notes, theirs.ID), fields{"name": "confused"}, 201, ""},
		{"no emoji", "POST", fmt.Sprintf("%s/%d/award_emoji", notes, theirs.ID), fields{"name": ":x:"}, 404, "404 Award Emoji Name is not a valid emoji name Not Found"},
		{"no such thread", "PUT", w.path("/merge_requests/%d/discussions/abc", m.IID()), fields{"resolved": true}, 404, "404 Discussion Not Found"},
		{"a single note is no thread to resolve", "PUT", w.path("/merge_requests/%d/discussions/%s", m.IID(), theirs.Discussion), fields{"resolved": true}, 403, "403 Forbidden"},
	} {
		code, body, _ := w.ask(t, bob, tc.method, tc.path, tc.params)
		if got := message(body); code != tc.code || got != tc.want {
			t.Errorf("%s: %d %q, want %d %q", tc.name, code, got, tc.code, tc.want)
		}
	}
	if got := m.Notes()[0].Awards; len(got) != 2 || got[0].User != "bob" {
		t.Errorf("%+v", got)
	}
	// A reply makes a thread of it, that can be resolved.
	must(m.Reply("bob", theirs.Discussion, "and?"))(t)
	if err := m.Resolve("bob", theirs.Discussion, true); err != nil {
		t.Error(err)
	}
}

// TestQuickActions: which lines of a text GitLab takes for its own.
func TestQuickActions(t *testing.T) {
	for name, tc := range map[string]struct {
		version, body string
		note          string // what is left; "" for no note
		state         string
		run           string
	}{
		"close":                     {"", "/close", "", "closed", "close"},
		"close with a text":         {"", "Enough.\n/close\nBye.", "Enough.\nBye.", "closed", "close"},
		"in a fence":                {"", "```\n/close\n```", "```\n/close\n```", "opened", ""},
		"in a fence with a word":    {"", "```text\n/close\n```\nok", "```text\n/close\n```\nok", "opened", ""},
		"in a quote":                {"", "> /close", "> /close", "opened", ""},
		"behind a blank":            {"", "see\n /close", "see\n /close", "opened", ""},
		"ours":                      {"", "/build web no-cache", "/build web no-cache", "opened", ""},
		"one of issues that we use": {"18.5.0-ee", "/promote v1", "", "opened", "promote"},
		"the same in the core":      {"18.5.0-ce", "/promote v1", "/promote v1", "opened", ""},
		"another that we use":       {"18.5.0-ee", "/status", "", "opened", "status"},
		"in the middle of a line":   {"", "do /close it", "do /close it", "opened", ""},
		"a path":                    {"", "/close/door", "/close/door", "opened", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gitlabtest.Options) { o.Version = tc.version })
			m, _ := w.open(t, gitlabtest.MergeOptions{})
			code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/merge_requests/%d/notes", m.IID()), fields{"body": tc.body})
			got := ""
			for _, n := range m.Notes() {
				if !n.System {
					got = n.Body
				}
			}
			var run []string
			for _, a := range m.QuickActions() {
				run = append(run, a.Name)
			}
			if got != tc.note || m.State().State != tc.state || strings.Join(run, " ") != tc.run || (code == 202) != (tc.note == "") {
				t.Errorf("%d %v: %q, %s, ran %q", code, body, got, m.State().State, run)
			}
		})
	}
}

// TestNoteHooks: what is told of notes; and nothing of GitLab's own.
func TestNoteHooks(t *testing.T) {
	w := newWorld(t)
	m, sha := w.open(t, gitlabtest.MergeOptions{})
	w.hook(t)
	n := must(m.Comment("alice", "/build"))(t)
	if err := w.project.EditNote("alice", n.ID, "/build web"); err != nil {
		t.Fatal(err)
	}
	if err := w.project.EditNote("alice", n.ID, "/build web"); err != nil { // nothing changed
		t.Fatal(err)
	}
	must(w.project.CommentCommit("alice", sha, "/status"))(t)
	if err := m.Close("alice"); err != nil { // a note of GitLab's own
		t.Fatal(err)
	}
	w.settle(t)
	_, all := w.hooks.take()
	var got []string
	for _, d := range all {
		var p struct {
			Attributes struct{ Action, Note, NoteableType string } `json:"object_attributes"`
			Merge      struct{ IID int }                           `json:"merge_request"`
			Commit     struct{ ID string }
		}
		if err := json.Unmarshal(d.body, &p); err != nil {
			t.Fatal(err)
		}
		if d.event == "Note Hook" {
			got = append(got, fmt.Sprintf("%s %s !%d %t", p.Attributes.Action, p.Attributes.Note, p.Merge.IID, p.Commit.ID == sha))
		}
	}
	if diff := cmp.Diff([]string{"create /build !1 false", "update /build web !1 false", "create /status !0 true"}, got); diff != "" {
		t.Error(diff)
	}
	if own := m.Notes(); !own[len(own)-1].System || own[len(own)-1].Body != "closed" {
		t.Errorf("%+v", own)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	m, _ := w.open(t, gitlabtest.MergeOptions{})
	must(m.Comment("alice", "one"))(t)
	w.clock.add(24 * 3600e9)
	must(m.Comment("alice", "two"))(t)
	day := w.clock.now().Format("2006-01-02")
	for query, want := range map[string][]string{
		"?action=commented":             {"two", "one"},
		"?action=commented&sort=asc":    {"one", "two"},
		"?action=pushed":                nil,
		"?before=" + day:                {"one"},
		"?after=" + day:                 nil,
		"?after=2026-03-03":             {"two", "one"},
		"?after=2026-03-04":             {"two"},
		"?target_type=note&per_page=1":  {"two"},
		"?target_type=issue&per_page=1": nil,
	} {
		_, body, _ := w.ask(t, w.AddUser("alice"), "GET", w.path("/events%s", query), nil)
		var got []string
		for _, one := range body.([]any) {
			got = append(got, one.(fields)["note"].(fields)["body"].(string))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}
