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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// verbs are what people do at the GitHub of a story, and what they see there.
var verbs = map[string]func(*testscript.TestScript, *githubtest.Server, []string){
	"server": githubServer, "browse": githubBrowse, "repo": githubRepo, "install": githubInstall, "installation": githubInstallation,
	"member": githubMember, "protect": githubProtect, "push": githubPush, "fork": githubFork, "pull": githubPull, "close": githubClose,
	"queue": githubQueue, "comment": githubComment, "comments": githubComments, "check": githubCheck, "status": githubStatus,
	"press": githubPress, "rerun": githubRerun, "rename": githubRename, "lose": githubLose, "fail": githubFail,
	"app": githubCreate, "default": githubDefault, "commit": githubCommit, "say": githubSay, "edit": githubEdit, "redeliver": githubRedeliver, "settle": githubSettle,
	"calls": githubCalls, "told": githubTold, "statuses": githubStatuses, "checks": githubChecks, "deployments": githubDeployments,
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
	fmt.Fprintln(ts.Stdout(), browse(ts, firstAddress(ts.ReadFile(args[0]))))
}

func browse(ts *testscript.TestScript, address string) string {
	resp, err := http.Get(address)
	for {
		ts.Check(err)
		body, err2 := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err2)
		form := regexp.MustCompile(`(?s)<form method="post" action="([^"]+)">(.*?)</form>`).FindStringSubmatch(string(body))
		if form == nil {
			if app := regexp.MustCompile(`/apps/([a-z0-9-]+)/installations/new`).FindSubmatch(body); app != nil {
				storyOf(ts).slug = string(app[1])
			}
			return fmt.Sprintf("%d %s\n%s", resp.StatusCode, resp.Request.URL.Path, html.UnescapeString(string(body)))
		}
		values := url.Values{}
		for _, input := range regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(form[2], -1) {
			values.Set(input[1], html.UnescapeString(input[2]))
		}
		resp, err = http.PostForm(html.UnescapeString(form[1]), values)
	}
}

// githubCreate creates the app as github.txtar tells it: app.
func githubCreate(ts *testscript.TestScript, _ *githubtest.Server, args []string) {
	need(ts, args, 0, 0, "app")
	self, err := lookPath("registry-build", ts.Getenv("PATH"))
	ts.Check(err)
	cmd := exec.Command(self, "github", "setup", "--config", "github.yml")
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environ(ts)
	link, err := cmd.CombinedOutput()
	if err != nil {
		ts.Fatalf("github setup: %v\n%s", err, link)
	}
	if page := browse(ts, firstAddress(string(link))); !strings.HasPrefix(page, "200 /github/created") {
		ts.Fatalf("the app was not created: %s", page)
	}
}

func firstAddress(text string) string { return regexp.MustCompile(`https?://\S+`).FindString(text) }

// githubRepo makes the folder a repository at GitHub, with a static busybox,
// which ada pushes to: repo FOLDER acme/NAME [private]. Nothing is pushed yet.
func githubRepo(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 3, "repo FOLDER OWNER/NAME [private]")
	r, err := g.AddRepo(args[1], githubtest.RepoOptions{Private: len(args) == 3})
	ts.Check(err)
	r.SetCollaborator("ada", "write")
	firstCommit(ts, args[0], r.PushURL("ada"))
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

// githubInstallation changes it: installation suspend|unsuspend|uninstall|remove REPO|add REPO|permissions NAME=ACCESS….
func githubInstallation(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 1, 20, "installation suspend|unsuspend|uninstall|remove REPO|add REPO|permissions NAME=ACCESS…")
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
	case "add":
		ts.Check(in.AddRepository(args[1]))
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

func newestCheck(ts *testscript.TestScript, g *githubtest.Server, repo, commit, name string) (*githubtest.Repo, githubtest.CheckRun) {
	r := theRepo(ts, g, repo)
	c, ok := r.CheckRun(commit, name)
	if !ok {
		ts.Fatalf("there is no check %s at %s", name, commit)
	}
	return r, c
}

// githubDefault changes the default branch: default REPO BRANCH.
func githubDefault(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "default REPO BRANCH")
	ts.Check(theRepo(ts, g, args[0]).SetDefaultBranch(args[1]))
}

// githubCommit pushes all changes of the work tree to a branch as ada, and
// keeps the commit: commit NAME BRANCH.
func githubCommit(ts *testscript.TestScript, _ *githubtest.Server, args []string) {
	need(ts, args, 2, 2, "commit NAME BRANCH")
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", args[0]}, {"push", "-q", "origin", "HEAD:refs/heads/" + args[1]}} {
		ts.Check(ts.Exec("git", args...))
	}
	cmdLet(ts, false, []string{args[0], "git", "rev-parse", "HEAD"})
}

// githubSay writes a comment on a pull request and waits for nothing: say REPO NUMBER LOGIN TEXT.
func githubSay(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 4, "say REPO NUMBER LOGIN TEXT")
	_, err := theRepo(ts, g, args[0]).Comment(number(ts, args[1]), args[2], strings.ReplaceAll(args[3], `\n`, "\n"))
	ts.Check(err)
}

// githubEdit changes the last comment that somebody wrote on a pull request: edit REPO NUMBER LOGIN TEXT.
func githubEdit(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 4, 4, "edit REPO NUMBER LOGIN TEXT")
	r := theRepo(ts, g, args[0])
	for _, c := range slices.Backward(r.Comments(number(ts, args[1]))) {
		if c.User == args[2] {
			ts.Check(r.EditComment(c.ID, args[2], args[3]))
			return
		}
	}
	ts.Fatalf("%s wrote nothing", args[2])
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

// githubRedeliver lets GitHub deliver the last delivery of the event again,
// as the button of the app's settings does: redeliver EVENT.
func githubRedeliver(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 1, 1, "redeliver EVENT")
	app := theApp(ts, g)
	t, err := ghinstallation.NewAppsTransport(http.DefaultTransport, app.ID, []byte(app.PrivateKeyPEM))
	ts.Check(err)
	for _, d := range slices.Backward(g.Deliveries()) {
		if d.Event != args[0] {
			continue
		}
		resp, err := (&http.Client{Transport: t}).Post(fmt.Sprintf("%s/app/hook/deliveries/%d/attempts", g.API, d.ID), "application/json", nil)
		ts.Check(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			ts.Fatalf("redeliver %s: %s", args[0], resp.Status)
		}
		settle(ts, g)
		return
	}
	ts.Fatalf("there was no delivery of %s", args[0])
}

// githubSettle waits until every delivery so far was answered: settle.
func githubSettle(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	need(ts, args, 0, 0, "settle")
	settle(ts, g)
}

// githubFail lets the next calls fail: fail "METHOD PATH" COUNT
// 502|403|limit|404|drop|lost (403 asks to wait a second, limit for eight); or none any more: fail nothing.
func githubFail(ts *testscript.TestScript, g *githubtest.Server, args []string) {
	if len(args) == 1 && args[0] == "nothing" {
		g.Recover()
		return
	}
	need(ts, args, 3, 3, `fail "METHOD PATH" COUNT 502|403|limit|404|drop|lost, or nothing`)
	f, ok := map[string]githubtest.Failure{
		"502": githubtest.BadGateway(), "403": githubtest.SecondaryLimit(time.Second), "limit": githubtest.SecondaryLimit(8 * time.Second), "404": githubtest.Lag(),
		"drop": githubtest.Dropped(), "lost": githubtest.LostAnswer(),
	}[args[2]]
	if !ok {
		ts.Fatalf("fails with 502, 403, limit, 404, drop or lost")
	}
	g.FailNext(args[0], number(ts, args[1]), f)
}
