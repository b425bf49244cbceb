package app

import (
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// verbs are what people do at the GitHub of a story, and what they see there.
var verbs = map[string]func(*testscript.TestScript, *githubtest.Server, []string){
	"server": githubServer, "browse": githubBrowse, "repo": githubRepo, "install": githubInstall, "installation": githubInstallation,
	"member": githubMember, "protect": githubProtect, "push": githubPush, "fork": githubFork, "pull": githubPull, "close": githubClose,
	"queue": githubQueue, "comment": githubComment, "comments": githubComments, "check": githubCheck, "status": githubStatus,
	"press": githubPress, "rerun": githubRerun, "rename": githubRename, "lose": githubLose, "fail": githubFail,
}

// cmdGitHub is a double of github.com that the story has for itself: github
// VERB ARGS. Every request and answer of its API is held against GitHub's own
// description, and the story fails on what does not fit.
func cmdGitHub(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || verbs[args[0]] == nil || neg {
		ts.Fatalf("usage: github %s", strings.Join(slices.Sorted(maps.Keys(verbs)), "|"))
	}
	s := storyOf(ts)
	if s.github == nil && args[0] != "server" {
		ts.Fatalf("begin with: github server")
	}
	verbs[args[0]](ts, s.github, args[1:])
}

// need ends the story when the arguments are not so many.
func need(ts *testscript.TestScript, args []string, least, most int, usage string) {
	if len(args) < least || len(args) > most {
		ts.Fatalf("usage: github %s", usage)
	}
}

// githubServer starts it and writes github.yml, a server file that uses it:
// server [SETTINGS...]. It sets GITHUB. ada is an owner of the organization acme.
func githubServer(ts *testscript.TestScript, _ *githubtest.Server, args []string) {
	validator, err := githubtest.NewValidator()
	ts.Check(err)
	g, err := githubtest.Start(githubtest.Options{Validator: validator})
	ts.Check(err)
	s := storyOf(ts)
	s.github = g
	ts.Defer(func() {
		g.Close()
		for _, v := range validator.Violations() {
			ts.Logf("GitHub's description: %s", v)
		}
		if len(validator.Violations()) > 0 {
			ts.Fatalf("what was said to GitHub does not fit its description")
		}
	})
	g.AddOrg("acme")
	g.AddUser("ada")
	settings := fmt.Sprintf("forges:\n  github:\n    api: %s\n    url: %s\n", g.API, g.URL)
	for _, line := range args {
		settings += "    " + line + "\n"
	}
	ts.Check(os.WriteFile(ts.MkAbs("github.yml"), []byte(settings), 0o600))
	ts.Setenv("GITHUB", g.URL)
}

// githubBrowse is a person in a browser who opens the address that the file
// holds and presses the last button of each page that has one; what they read
// at last is stdout: browse FILE.
func githubBrowse(ts *testscript.TestScript, _ *githubtest.Server, args []string) {
	need(ts, args, 1, 1, "browse FILE")
	address := regexp.MustCompile(`https?://\S+`).FindString(ts.ReadFile(args[0]))
	resp, err := http.Get(address)
	for {
		ts.Check(err)
		body, err2 := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err2)
		form := regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`).FindStringSubmatch(string(body))
		if form == nil {
			fmt.Fprintf(ts.Stdout(), "%d %s\n%s\n", resp.StatusCode, resp.Request.URL.Path, html.UnescapeString(string(body)))
			if app := regexp.MustCompile(`/apps/([a-z0-9-]+)/installations/new`).FindSubmatch(body); app != nil {
				storyOf(ts).slug = string(app[1])
			}
			return
		}
		values := url.Values{}
		for _, input := range regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(form[2], -1) {
			values.Set(input[1], html.UnescapeString(input[2]))
		}
		resp, err = http.PostForm(html.UnescapeString(form[1]), values)
	}
}

// githubRepo makes the folder a repository at GitHub, with a static busybox,
// which ada pushes to: repo FOLDER acme/NAME [private]. Nothing is pushed yet.
func githubRepo(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 3, "repo FOLDER OWNER/NAME [private]")
	r, err := g.AddRepo(args[1], githubtest.RepoOptions{Private: len(args) == 3})
	ts.Check(err)
	r.SetCollaborator("ada", "write")
	dir := ts.MkAbs(args[0])
	busybox, err := exec.LookPath("busybox")
	ts.Check(err)
	data, err := os.ReadFile(busybox)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "busybox"), data, 0o755))
	for _, args := range [][]string{
		{"init", "-q"}, {"remote", "add", "origin", r.PushURL("ada")}, {"add", "-A"}, {"commit", "-q", "-m", "first"},
	} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
	}
}

// theApp is the app that the manifest flow has made.
func theApp(ts *testscript.TestScript, g *githubtest.Server) *githubtest.App {
	app := g.App(storyOf(ts).slug)
	if app == nil {
		ts.Fatalf("there is no app at GitHub; create it with: github browse")
	}
	return app
}

// githubInstall installs the app for all repositories of the account and goes
// on to the page that GitHub sends ada to, which is stdout: install ACCOUNT.
func githubInstall(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 1, 1, "install ACCOUNT")
	in, err := theApp(ts, g).Install(args[0])
	ts.Check(err)
	storyOf(ts).installed = in
	settle(ts, g)
	resp, err := http.Get(in.AfterInstall("ada"))
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", resp.StatusCode, html.UnescapeString(string(body)))
}

// githubInstallation changes it: installation suspend|unsuspend|uninstall|remove REPO|permissions NAME=ACCESS….
func githubInstallation(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 1, 20, "installation suspend|unsuspend|uninstall|remove REPO|permissions NAME=ACCESS…")
	in := storyOf(ts).installed
	switch args[0] {
	case "suspend":
		in.Suspend()
	case "unsuspend":
		in.Unsuspend()
	case "uninstall":
		in.Uninstall()
	case "remove":
		ts.Check(in.RemoveRepository(args[1]))
	case "permissions":
		granted := map[string]string{}
		for _, p := range args[1:] {
			name, access, _ := strings.Cut(p, "=")
			granted[name] = access
		}
		in.SetPermissions(granted)
	default:
		ts.Fatalf("github installation %q?", args[0])
	}
	settle(ts, g)
}

func settle(ts *testscript.TestScript, g *githubtest.Server) {
	ctx, done := context.WithTimeout(context.Background(), untilLimit)
	defer done()
	ts.Check(g.Settle(ctx))
}

func theRepo(ts *testscript.TestScript, g *githubtest.Server, name string) *githubtest.Repo {
	r, err := g.Repo(name)
	ts.Check(err)
	return r
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// githubMember gives a person a permission: member REPO LOGIN PERMISSION.
func githubMember(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 3, 3, "member REPO LOGIN admin|maintain|write|triage|read")
	theRepo(ts, g, args[0]).SetCollaborator(args[1], args[2])
}

// githubProtect protects a branch: protect REPO BRANCH.
func githubProtect(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "protect REPO BRANCH")
	theRepo(ts, g, args[0]).Protect(args[1], true)
}

// githubPush commits a file to a branch and keeps the commit: push COMMIT REPO
// BRANCH FILE FROM [USER], where FROM is a file of the story.
func githubPush(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 5, 6, "push COMMIT REPO BRANCH FILE FROM [USER]")
	user := "ada"
	if len(args) == 6 {
		user = args[5]
	}
	sha, err := theRepo(ts, g, args[1]).Push(githubtest.Push{User: user, Branch: args[2], Files: map[string]string{args[3]: ts.ReadFile(args[4])}})
	ts.Check(err)
	ts.Setenv(args[0], sha)
}

// githubFork forks: fork REPO LOGIN.
func githubFork(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "fork REPO LOGIN")
	_, err := theRepo(ts, g, args[0]).Fork(args[1])
	ts.Check(err)
}

// githubPull opens a pull request and keeps its number: pull NUMBER REPO
// BRANCH [FORK], by the fork's owner or by ada.
func githubPull(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 3, 4, "pull NUMBER REPO BRANCH [FORK]")
	p := githubtest.Pull{User: "ada", Head: args[2]}
	if len(args) == 4 {
		p.From = theRepo(ts, g, args[3])
		p.User, _, _ = strings.Cut(args[3], "/")
	}
	n, err := theRepo(ts, g, args[1]).OpenPull(p)
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(n))
}

// githubClose closes or merges a pull request: close REPO NUMBER [merge].
func githubClose(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 3, "close REPO NUMBER [merge]")
	ts.Check(theRepo(ts, g, args[0]).ClosePull(number(ts, args[1]), "ada", len(args) == 3))
}

// githubQueue lets the merge queue ask for a pull request's checks and keeps
// the commit: queue COMMIT REPO NUMBER.
func githubQueue(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 3, 3, "queue COMMIT REPO NUMBER")
	sha, err := theRepo(ts, g, args[1]).MergeGroup(number(ts, args[2]))
	ts.Check(err)
	ts.Setenv(args[0], sha)
}

// githubComment writes on a pull request and waits for our reaction, which is
// stdout; or on a commit, where GitHub gives apps no right to react: comment
// REPO NUMBER|COMMIT LOGIN TEXT.
func githubComment(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 4, "comment REPO NUMBER|COMMIT LOGIN TEXT")
	r := theRepo(ts, g, args[0])
	text := strings.ReplaceAll(args[3], `\n`, "\n")
	if len(args[1]) >= 40 {
		_, err := r.CommentCommit(args[1], args[2], text)
		ts.Check(err)
		return
	}
	written, err := r.Comment(number(ts, args[1]), args[2], text)
	ts.Check(err)
	ts.Check(poll(untilLimit, func() bool {
		for _, c := range r.Comments(number(ts, args[1])) {
			if c.ID == written.ID && len(c.Reactions) > 0 {
				fmt.Fprintln(ts.Stdout(), c.Reactions[0].Content)
				return true
			}
		}
		return false
	}))
}

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
			text += fmt.Sprintf("%s wrote:\n%s\n", c.User, c.Body)
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

func newestCheck(ts *testscript.TestScript, g *githubtest.Server, repo, commit, name string) (*githubtest.Repo, githubtest.CheckRun) {
	r := theRepo(ts, g, repo)
	c, ok := r.CheckRun(commit, name)
	if !ok {
		ts.Fatalf("there is no check %s at %s", name, commit)
	}
	return r, c
}

// githubPress presses a button of a check run: press REPO COMMIT NAME BUTTON LOGIN.
func githubPress(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 5, 5, "press REPO COMMIT NAME BUTTON LOGIN")
	r, c := newestCheck(ts, g, args[0], args[1], args[2])
	ts.Check(r.PressButton(c.ID, args[3], args[4]))
}

// githubRerun runs a check again, or with "all" its suite: rerun REPO COMMIT NAME LOGIN [all].
func githubRerun(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 5, "rerun REPO COMMIT NAME LOGIN [all]")
	r, c := newestCheck(ts, g, args[0], args[1], args[2])
	if len(args) == 5 {
		ts.Check(r.RerunSuite(c.Suite, args[3]))
		return
	}
	ts.Check(r.RerunCheck(c.ID, args[3]))
}

// githubRename renames a repository: rename REPO NAME.
func githubRename(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "rename REPO NAME")
	ts.Check(theRepo(ts, g, args[0]).Rename(args[1]))
}

// githubLose lets the next deliveries get lost: lose COUNT.
func githubLose(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 1, 1, "lose COUNT")
	g.LoseDeliveries(number(ts, args[0]))
}

// githubFail lets the next calls fail: fail "METHOD PATH" COUNT 502|403|404|drop|lost.
func githubFail(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 3, 3, `fail "METHOD PATH" COUNT 502|403|404|drop|lost`)
	f, ok := map[string]githubtest.Failure{
		"502": githubtest.BadGateway(), "403": githubtest.SecondaryLimit(time.Second), "404": githubtest.Lag(),
		"drop": githubtest.Dropped(), "lost": githubtest.LostAnswer(),
	}[args[2]]
	if !ok {
		ts.Fatalf("fails with 502, 403, 404, drop or lost")
	}
	g.FailNext(args[0], number(ts, args[1]), f)
}
