package app

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// gitlabVerbs are what people do at a GitLab of a story, and what they see
// there.
var gitlabVerbs = map[string]func(*testscript.TestScript, *gitlabtest.Server, []string){
	"repo": gitlabRepo, "push": gitlabPush, "commit": gitlabCommit, "fork": gitlabFork, "member": gitlabMember, "protect": gitlabProtect,
	"merge": gitlabMerge, "close": gitlabClose, "accept": gitlabAccept, "comment": gitlabComment, "say": gitlabSay,
	"notes": gitlabNotes, "threads": gitlabThreads, "status": gitlabStatus, "told": gitlabTold, "gated": gitlabGated, "rename": gitlabRename, "transfer": gitlabTransfer,
	"remove": gitlabRemove, "hooks": gitlabHooks, "disable": gitlabDisable, "lose": gitlabLose, "fail": gitlabFail, "settle": gitlabSettle, "calls": gitlabCalls,
	"merges": gitlabMerges, "resend": gitlabResend, "token": gitlabToken,
}

// cmdGitLab is a double of a GitLab server that the story has for itself, or of
// several: gitlab [@NAME] VERB ARGS. What is said to it is held against the
// client's types, and the story fails on what does not fit.
func cmdGitLab(ts *testscript.TestScript, neg bool, args []string) {
	name := "gitlab"
	if len(args) > 0 && strings.HasPrefix(args[0], "@") {
		name, args = args[0][1:], args[1:]
	}
	if len(args) > 0 && args[0] == "server" && !neg {
		gitlabServer(ts, name, args[1:])
		return
	}
	if len(args) == 0 || gitlabVerbs[args[0]] == nil || neg {
		ts.Fatalf("usage: gitlab [@NAME] server|%s", strings.Join(slices.Sorted(maps.Keys(gitlabVerbs)), "|"))
	}
	g := storyOf(ts).gitlab[name]
	if g == nil {
		ts.Fatalf("begin with: gitlab @%s server", name)
	}
	gitlabVerbs[args[0]](ts, g, args[1:])
}

// gitlabServer starts it and writes gitlab.yml, a server file for all of them:
// [@NAME] server [free|old|tls|below|SETTING...]. It sets GITLAB (or the name, in capitals). ada
// may write in the group acme, whose owner our token's account, builds, is.
func gitlabServer(ts *testscript.TestScript, name string, args []string) {
	var o gitlabtest.Options
	var settings []string
	for _, a := range args {
		switch a {
		case "free":
			o.Free = true
		case "old":
			o.NoHookLogs = true
		case "tls":
			o.TLS = true
		case "below":
			o.RelativeURL = "/gitlab"
		default:
			settings = append(settings, a)
		}
	}
	g, err := gitlabtest.Start(o)
	ts.Check(err)
	ts.Defer(func() {
		g.Close()
		for _, v := range g.Violations() {
			ts.Logf("GitLab: %s", v)
		}
		if len(g.Violations()) > 0 {
			ts.Fatalf("what was said to GitLab does not fit its API")
		}
	})
	_, err = g.AddGroup("acme", "private")
	ts.Check(err)
	for user, level := range map[string]gitlabtest.Level{"ada": gitlabtest.Developer, "builds": gitlabtest.Owner} {
		g.AddUser(user)
		ts.Check(g.SetGroupMember("acme", user, level))
	}
	s := storyOf(ts)
	if s.gitlab == nil {
		s.gitlab = map[string]*gitlabtest.Server{}
	}
	s.gitlab[name] = g
	if o.TLS {
		ts.Check(os.WriteFile(ts.MkAbs(name+"-ca.pem"), g.CA, 0o600))
		settings = append(settings, "ca: "+ts.MkAbs(name+"-ca.pem"))
	}
	token := g.PersonalToken("builds", gitlabtest.TokenOptions{Scopes: []string{"api"}}).Value
	entry := fmt.Sprintf("    - name: %s\n      url: %s\n      token: %s\n", name, g.URL, token)
	for _, line := range settings {
		entry += "      " + line + "\n"
	}
	file := ts.MkAbs("gitlab.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		text = []byte("forges:\n  gitlab:\n")
	}
	ts.Check(os.WriteFile(file, append(text, entry...), 0o600))
	ts.Setenv(strings.ToUpper(name), g.URL)
	ts.Setenv(strings.ToUpper(name)+"_TOKEN", token)
}

// gitlabToken makes another token of builds with these scopes: token NAME SCOPE….
func gitlabToken(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 9, "token NAME SCOPE…")
	ts.Setenv(args[0], g.PersonalToken("builds", gitlabtest.TokenOptions{Scopes: args[1:]}).Value)
}

func gitlabNeed(ts *testscript.TestScript, args []string, least, most int, usage string) {
	if len(args) < least || len(args) > most {
		ts.Fatalf("usage: gitlab [@NAME] %s", usage)
	}
}

func theProject(ts *testscript.TestScript, g *gitlabtest.Server, name string) *gitlabtest.Project {
	p, err := g.Project(name)
	ts.Check(err)
	return p
}

func theMerge(ts *testscript.TestScript, g *gitlabtest.Server, project, iid string) *gitlabtest.Merge {
	m, err := theProject(ts, g, project).Merge(number(ts, iid))
	ts.Check(err)
	return m
}

func settled(ts *testscript.TestScript, g *gitlabtest.Server) {
	ctx, done := context.WithTimeout(context.Background(), untilLimit)
	defer done()
	ts.Check(g.Settle(ctx))
}

// gitlabRepo makes the folder a project, with a static busybox, which ada
// pushes to: repo FOLDER GROUP/…/NAME. Nothing is pushed yet.
func gitlabRepo(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "repo FOLDER GROUP/NAME")
	p, err := g.AddProject(args[1], gitlabtest.ProjectOptions{})
	ts.Check(err)
	p.SetMember("ada", gitlabtest.Maintainer)
	firstCommit(ts, args[0], p.PushURL("ada"))
}

// gitlabPush commits a file to a branch and keeps the commit: push COMMIT
// PROJECT BRANCH FILE FROM [USER], where FROM is a file of the story.
func gitlabPush(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 5, 6, "push COMMIT PROJECT BRANCH FILE FROM [USER]")
	user := "ada"
	if len(args) == 6 {
		user = args[5]
	}
	sha, err := theProject(ts, g, args[1]).Push(gitlabtest.Push{User: user, Branch: args[2], Files: map[string]string{args[3]: ts.ReadFile(args[4])}})
	ts.Check(err)
	ts.Setenv(args[0], sha)
}

// gitlabCommit pushes all changes of the work tree to a branch as ada, and
// keeps the commit: commit NAME BRANCH.
func gitlabCommit(ts *testscript.TestScript, _ *gitlabtest.Server, args []string) {
	githubCommit(ts, nil, args)
}

// gitlabFork forks into a person's namespace: fork PROJECT LOGIN.
func gitlabFork(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "fork PROJECT LOGIN")
	g.AddUser(args[1])
	p := theProject(ts, g, args[0])
	p.SetVisibility("public")
	_, err := p.Fork(args[1])
	ts.Check(err)
}

// gitlabMember gives a person a role: member PROJECT LOGIN guest|reporter|developer|maintainer.
func gitlabMember(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 3, 3, "member PROJECT LOGIN guest|reporter|developer|maintainer")
	level, ok := map[string]gitlabtest.Level{"guest": gitlabtest.Guest, "reporter": gitlabtest.Reporter,
		"developer": gitlabtest.Developer, "maintainer": gitlabtest.Maintainer}[args[2]]
	if !ok {
		ts.Fatalf("no role is called %q", args[2])
	}
	g.AddUser(args[1])
	theProject(ts, g, args[0]).SetMember(args[1], level)
}

// gitlabProtect protects a branch: protect PROJECT BRANCH.
func gitlabProtect(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "protect PROJECT BRANCH")
	theProject(ts, g, args[0]).Protect(args[1], true)
}

// gitlabMerge opens a merge request and keeps its number: merge NUMBER PROJECT
// BRANCH [FORK], by the fork's owner or by ada.
func gitlabMerge(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 3, 4, "merge NUMBER PROJECT BRANCH [FORK]")
	o := gitlabtest.MergeOptions{User: "ada", Source: args[2]}
	if len(args) == 4 {
		o.From = theProject(ts, g, args[3])
		o.User, _, _ = strings.Cut(args[3], "/")
	}
	m, err := theProject(ts, g, args[1]).OpenMerge(o)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(m.IID()))
}

// gitlabClose closes a merge request: close PROJECT NUMBER.
func gitlabClose(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "close PROJECT NUMBER")
	ts.Check(theMerge(ts, g, args[0], args[1]).Close("ada"))
}

// gitlabAccept merges a merge request: accept PROJECT NUMBER.
func gitlabAccept(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "accept PROJECT NUMBER")
	ts.Check(theMerge(ts, g, args[0], args[1]).Accept("ada"))
}

// gitlabComment writes on a merge request and waits for our emoji, which is
// stdout; or on a commit, whose notes take none: comment PROJECT
// NUMBER|COMMIT LOGIN TEXT.
func gitlabComment(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 4, 4, "comment PROJECT NUMBER|COMMIT LOGIN TEXT")
	text := strings.ReplaceAll(args[3], `\n`, "\n")
	g.AddUser(args[2])
	if len(args[1]) >= 40 {
		_, err := theProject(ts, g, args[0]).CommentCommit(args[2], args[1], text)
		ts.Check(err)
		return
	}
	m := theMerge(ts, g, args[0], args[1])
	written, err := m.Comment(args[2], text)
	ts.Check(err)
	ts.Check(poll(untilLimit, func() bool {
		for _, n := range m.Notes() {
			if n.ID == written.ID && len(n.Awards) > 0 {
				fmt.Fprintln(ts.Stdout(), n.Awards[0].Name)
				return true
			}
		}
		return false
	}))
}

// gitlabSay writes on a merge request and waits for nothing: say PROJECT NUMBER LOGIN TEXT.
func gitlabSay(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 4, 4, "say PROJECT NUMBER LOGIN TEXT")
	_, err := theMerge(ts, g, args[0], args[1]).Comment(args[2], strings.ReplaceAll(args[3], `\n`, "\n"))
	ts.Check(err)
}

// gitlabRename renames a project: rename PROJECT NAME.
func gitlabRename(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "rename PROJECT NAME")
	ts.Check(theProject(ts, g, args[0]).Rename(args[1]))
}

// gitlabTransfer moves a project to another group: transfer PROJECT GROUP.
func gitlabTransfer(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "transfer PROJECT GROUP")
	ts.Check(theProject(ts, g, args[0]).Transfer(args[1]))
}

// gitlabRemove deletes a project: remove PROJECT.
func gitlabRemove(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 1, 1, "remove PROJECT")
	theProject(ts, g, args[0]).Remove()
}

// gitlabDisable lets GitLab switch off a project's webhooks as after so many
// failures: disable PROJECT FAILURES.
func gitlabDisable(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 2, 2, "disable PROJECT FAILURES")
	for _, h := range theProject(ts, g, args[0]).Hooks() {
		g.DisableHook(h.ID, number(ts, args[1]))
	}
}

// gitlabLose lets the next deliveries get lost: lose COUNT.
func gitlabLose(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 1, 1, "lose COUNT")
	g.LoseDeliveries(number(ts, args[0]))
}

// gitlabSettle waits until every delivery so far was answered: settle.
func gitlabSettle(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 0, 0, "settle")
	settled(ts, g)
}

// gitlabResend sends the last delivery of an event once more, with its key, as
// the button on GitLab's page of a webhook does: resend EVENT.
func gitlabResend(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	gitlabNeed(ts, args, 1, 1, "resend EVENT")
	for _, d := range slices.Backward(g.Deliveries()) {
		if d.Event != args[0] {
			continue
		}
		req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/projects/%d/hooks/%d/events/%d/resend", g.API, d.Project, d.Hook, d.ID), nil)
		ts.Check(err)
		req.Header.Set("PRIVATE-TOKEN", g.AddAdmin("root"))
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			ts.Fatalf("resend %s: %s", args[0], resp.Status)
		}
		settled(ts, g)
		return
	}
	ts.Fatalf("there was no delivery of %s", args[0])
}

// gitlabFail lets the next calls fail: fail "METHOD PATH" COUNT
// 502|429|409|404|drop|lost (429 asks to wait a second); or none any more: fail nothing.
func gitlabFail(ts *testscript.TestScript, g *gitlabtest.Server, args []string) {
	if len(args) == 1 && args[0] == "nothing" {
		g.Recover()
		return
	}
	gitlabNeed(ts, args, 3, 3, `fail "METHOD PATH" COUNT 502|429|409|404|drop|lost, or nothing`)
	f, ok := map[string]gitlabtest.Failure{
		"502": gitlabtest.BadGateway(), "429": gitlabtest.TooManyRequests(time.Second), "404": gitlabtest.Lag(),
		"409":  gitlabtest.Conflict("Another update to this commit status is in progress"),
		"drop": gitlabtest.Dropped(), "lost": gitlabtest.LostAnswer(),
	}[args[2]]
	if !ok {
		ts.Fatalf("fails with 502, 429, 409, 404, drop or lost")
	}
	g.FailNext(args[0], number(ts, args[1]), f)
}
