package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// githubComments prints all comments, once one holds the text: comments REPO
// NUMBER|COMMIT TEXT.
func githubComments(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 3, 3, "comments REPO NUMBER|COMMIT TEXT")
	r := theRepo(ts, g, args[0])
	var text string
	err := poll(untilLimit, func() bool {
		list := r.CommitComments(args[1])
		if len(args[1]) < 40 {
			list = r.Comments(number(ts, args[1]))
		}
		text = ""
		for _, c := range list {
			text += c.User + " wrote"
			for _, r := range c.Reactions {
				text += " (" + r.Content + ")"
			}
			text += ":\n" + c.Body + "\n"
		}
		return strings.Contains(text, args[2])
	})
	fmt.Fprint(ts.Stdout(), text)
	if err != nil {
		ts.Fatalf("nobody wrote %q:\n%s", args[2], text)
	}
}

// githubCheck waits until the newest check run of that name at the commit is
// in the state (queued, in_progress, success, failure, …), and prints it:
// check REPO COMMIT NAME STATE.
func githubCheck(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 4, "check REPO COMMIT NAME STATE")
	r := theRepo(ts, g, args[0])
	var c githubtest.CheckRun
	err := poll(untilLimit, func() bool {
		var ok bool
		c, ok = r.CheckRun(args[1], args[2])
		return ok && (c.Conclusion == args[3] || c.Conclusion == "" && c.Status == args[3])
	})
	fmt.Fprintf(ts.Stdout(), "%s %s %s: %s\n%s\n%s\n", c.Name, c.Status, c.Conclusion, c.Title, c.Summary, c.Text)
	for _, a := range c.Annotations {
		fmt.Fprintf(ts.Stdout(), "annotation %s:%d-%d %s: %s\n", a.Path, a.StartLine, a.EndLine, a.Level, a.Message)
	}
	for _, a := range c.Actions {
		fmt.Fprintf(ts.Stdout(), "button %s: %s\n", a.Identifier, a.Label)
	}
	fmt.Fprintf(ts.Stdout(), "details %s\n", c.DetailsURL)
	if err != nil {
		for _, other := range r.CheckRuns(args[1]) {
			ts.Logf("%s %s %s: %s", other.Name, other.Status, other.Conclusion, other.Title)
		}
		ts.Fatalf("check %s at %s is not %s", args[2], args[1], args[3])
	}
}

// githubStatus waits until the newest status of that context is in the state,
// and prints it: status REPO COMMIT CONTEXT STATE.
func githubStatus(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 4, "status REPO COMMIT CONTEXT STATE")
	r := theRepo(ts, g, args[0])
	var st githubtest.Status
	err := poll(untilLimit, func() bool {
		st, _ = r.StatusOf(args[1], args[2])
		return st.State == args[3]
	})
	fmt.Fprintf(ts.Stdout(), "%s %s: %s\n%s\n", st.Context, st.State, st.Description, st.TargetURL)
	if err != nil {
		ts.Fatalf("status %s at %s is %q, not %s", args[2], args[1], st.State, args[3])
	}
}

// githubStatuses prints every status of a commit, oldest first: statuses REPO COMMIT.
func githubStatuses(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	out := ts.Stdout() // also what is empty replaces what was printed before
	need(ts, args, 2, 2, "statuses REPO COMMIT")
	for _, st := range slices.Backward(theRepo(ts, g, args[0]).Statuses(args[1])) {
		fmt.Fprintf(out, "%s %s: %s\n", st.Context, st.State, st.Description)
	}
}

// githubChecks prints every check run of a commit, oldest first; of all
// commits when it is "all": checks REPO COMMIT.
func githubChecks(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	out := ts.Stdout()
	need(ts, args, 2, 2, "checks REPO COMMIT")
	commit := args[1]
	if commit == "all" {
		commit = ""
	}
	for _, c := range theRepo(ts, g, args[0]).CheckRuns(commit) {
		fmt.Fprintf(out, "%s %s %s%s: %s\n", c.SHA, c.Name, c.Status, strings.TrimSuffix(" "+c.Conclusion, " "), c.Title)
	}
}

// githubDeployments prints the deployments with their states: deployments REPO STATE,
// once the newest is in that state.
func githubDeployments(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "deployments REPO STATE")
	r := theRepo(ts, g, args[0])
	var text, newest string
	err := poll(untilLimit, func() bool {
		text, newest = "", ""
		for _, d := range r.Deployments() {
			text += fmt.Sprintf("%s to %s:", d.SHA, d.Environment)
			for _, s := range d.Statuses {
				text, newest = text+" "+s.State, s.State
			}
			text += "\n"
		}
		return newest == args[1]
	})
	fmt.Fprint(ts.Stdout(), text)
	if err != nil {
		ts.Fatalf("no deployment is %s:\n%s", args[1], text)
	}
}

// githubCalls prints what was asked of the API, with the answer's status,
// since the same was marked; with a status, once one was answered with it:
// calls "METHOD PATH" [mark|STATUS].
func githubCalls(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	out := ts.Stdout()
	need(ts, args, 1, 2, `calls "METHOD PATH" [mark|STATUS]`)
	s, all := storyOf(ts), g.Requests(args[0])
	if len(args) == 2 && args[1] != "mark" {
		ts.Check(poll(untilLimit, func() bool {
			all = g.Requests(args[0])
			return slices.ContainsFunc(all[s.marked[args[0]]:], func(r githubtest.Request) bool { return strconv.Itoa(r.Status) == args[1] })
		}))
	} else if len(args) == 2 {
		if s.marked == nil {
			s.marked = map[string]int{}
		}
		s.marked[args[0]] = len(all)
		return
	}
	for _, r := range all[s.marked[args[0]]:] {
		fmt.Fprintf(out, "%s %s %d\n", r.Method, r.Path, r.Status)
	}
}

// githubTold prints all that was told of a commit and name, in order: the
// states of check runs and statuses. It fails when one goes backwards, within
// one build: told REPO COMMIT NAME.
func githubTold(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	out := ts.Stdout()
	need(ts, args, 3, 3, "told REPO COMMIT NAME")
	rank := map[string]int{"queued": 1, "in_progress": 2, "completed": 3}
	last := map[string]int{}
	for _, r := range g.Requests("* /repos/" + args[0] + "/check-runs**") {
		var body struct {
			Name       string `json:"name"`
			HeadSHA    string `json:"head_sha"`
			ExternalID string `json:"external_id"`
			Status     string `json:"status"`
			Conclusion string `json:"conclusion"`
		}
		if json.Unmarshal(r.Body, &body) != nil || body.Name != args[2] {
			continue
		}
		fmt.Fprintf(out, "%s %s %s%s %d\n", r.Method, body.ExternalID, body.Status, strings.TrimSuffix(" "+body.Conclusion, " "), r.Status)
		if r.Status/100 != 2 {
			continue
		}
		if rank[body.Status] < last[body.ExternalID] {
			ts.Fatalf("check run %s of build %s went back to %s", body.Name, body.ExternalID, body.Status)
		}
		last[body.ExternalID] = rank[body.Status]
	}
}
