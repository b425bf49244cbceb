package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// gitlabNotes prints all notes of a merge request or a commit but GitLab's
// own, once one holds the text: notes PROJECT NUMBER|COMMIT TEXT.
func gitlabNotes(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 3, 3, "notes PROJECT NUMBER|COMMIT TEXT")
	var text string
	err := poll(untilLimit, func() bool {
		var list []gitlabtest.Note
		if len(args[1]) >= 40 {
			list = theProject(ts, g, args[0]).CommitNotes(args[1])
		} else {
			list = theMerge(ts, g, args[0], args[1]).Notes()
		}
		text = ""
		for _, n := range list {
			if n.System {
				continue
			}
			text += n.Author + " wrote"
			if n.Path != "" {
				text += fmt.Sprintf(" at %s:%d", n.Path, n.Line)
			}
			for _, a := range n.Awards {
				text += " (" + a.Name + ")"
			}
			text += ":\n" + n.Body + "\n"
		}
		return strings.Contains(text, args[2])
	})
	fmt.Fprint(ts.Stdout(), text)
	if err != nil {
		ts.Fatalf("nobody wrote %q:\n%s", args[2], text)
	}
}

// gitlabThreads prints the threads at lines of a merge request, once so many
// are open: threads PROJECT NUMBER OPEN.
func gitlabThreads(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 3, 3, "threads PROJECT NUMBER OPEN")
	m := theMerge(ts, g, args[0], args[1])
	var text string
	err := poll(untilLimit, func() bool {
		text = ""
		open := 0
		for _, d := range m.Discussions() {
			if d.Individual || len(d.Notes) == 0 {
				continue
			}
			state := "resolved"
			if !d.Resolved {
				state = "open"
				open++
			}
			text += fmt.Sprintf("%s %s:%d\n", state, d.Notes[0].Path, d.Notes[0].Line)
			for _, n := range d.Notes {
				text += n.Author + " wrote:\n" + n.Body + "\n"
			}
		}
		return open == number(ts, args[2])
	})
	fmt.Fprint(ts.Stdout(), text)
	if err != nil {
		ts.Fatalf("not %s threads are open:\n%s", args[2], text)
	}
}

// gitlabStatus waits until the newest status of that name is in the state
// (pending, running, success, failed, canceled), and prints it: status PROJECT COMMIT NAME STATE.
func gitlabStatus(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 4, 4, "status PROJECT COMMIT NAME STATE")
	p := theProject(ts, g, args[0])
	var st gitlabtest.Status
	err := poll(untilLimit, func() bool {
		st, _ = p.StatusOf(args[1], args[2])
		return st.State == args[3]
	})
	fmt.Fprintf(ts.Stdout(), "%s %s on %s: %s\n%s\n", st.Name, st.State, st.Ref, st.Description, st.TargetURL)
	if err != nil {
		ts.Fatalf("status %s at %s is %q, not %s", args[2], args[1], st.State, args[3])
	}
}

// gitlabTold prints every status of a commit, oldest first, and its
// pipelines: told PROJECT COMMIT.
func gitlabTold(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	out := ts.Stdout()
	gitlabNeed(ts, args, 2, 2, "told PROJECT COMMIT")
	p := theProject(ts, g, args[0])
	for _, st := range slices.Backward(p.Statuses(args[1])) {
		fmt.Fprintf(out, "%s %s: %s\n", st.Name, st.State, st.Description)
	}
	for _, l := range p.Pipelines(args[1]) {
		fmt.Fprintf(out, "pipeline of %s: %s\n", l.Ref, l.Status)
	}
}

// gitlabGated prints whether a merge request of a project whose pipelines must
// succeed can be merged now: gated PROJECT NUMBER mergeable|ci_must_pass|….
func gitlabGated(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 3, 3, "gated PROJECT NUMBER STATUS")
	theProject(ts, g, args[0]).PipelinesMustSucceed(true)
	m := theMerge(ts, g, args[0], args[1])
	if err := poll(untilLimit, func() bool { return m.State().Status == args[2] }); err != nil {
		ts.Fatalf("merge request %s is %s, not %s", args[1], m.State().Status, args[2])
	}
}

// gitlabMerges prints the merge requests, once one has the text in its title:
// merges PROJECT TEXT.
func gitlabMerges(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "merges PROJECT TEXT")
	p := theProject(ts, g, args[0])
	var text string
	err := poll(untilLimit, func() bool {
		text = ""
		for _, m := range p.Merges() {
			s := m.State()
			text += fmt.Sprintf("!%d %s %s -> %s by %s: %s\n%s\n", s.IID, s.State, s.Source, s.Target, s.Author, s.Title, s.Description)
		}
		return strings.Contains(text, args[1])
	})
	fmt.Fprint(ts.Stdout(), text)
	if err != nil {
		ts.Fatalf("no merge request holds %q:\n%s", args[1], text)
	}
}

// gitlabHooks prints the webhooks of a project or a group: hooks PROJECT|GROUP.
func gitlabHooks(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	out := ts.Stdout()
	gitlabNeed(ts, args, 1, 1, "hooks PROJECT|GROUP")
	list := g.GroupHooks(args[0])
	if p, err := g.Project(args[0]); err == nil {
		list = p.Hooks()
	}
	for _, h := range list {
		fmt.Fprintf(out, "%s %s %s\n", h.AlertStatus, h.URL, strings.Join(h.Events, " "))
	}
}

// gitlabCalls prints what was asked of the API, with the answer's status;
// with a status, once one was answered with it: calls "METHOD PATH" [STATUS].
func gitlabCalls(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	out := ts.Stdout()
	gitlabNeed(ts, args, 1, 2, `calls "METHOD PATH" [STATUS]`)
	all := g.Requests(args[0])
	if len(args) == 2 {
		ts.Check(poll(untilLimit, func() bool {
			all = g.Requests(args[0])
			return slices.ContainsFunc(all, func(r gitlabtest.Request) bool { return strconv.Itoa(r.Status) == args[1] })
		}))
	}
	for _, r := range all {
		var body struct{ State string }
		_ = json.Unmarshal(r.Body, &body) // most have none
		fmt.Fprintf(out, "%s %s %d %s\n", r.Method, r.Path, r.Status, body.State)
	}
}
