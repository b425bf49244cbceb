package app

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// hostile are lines that GitLab would carry out with our token's rights if a
// note of ours began one with them.
const hostile = "/merge\n/close\n/approve\n/label ~x\n> /merge\n   /close\n```\n/merge\n<details>\n/title gone\n~~~\n/lock"

// hostileDockerfile prints them in a step that fails, and what it can see of
// other processes.
func hostileDockerfile() string {
	return "FROM scratch\nCOPY --chmod=755 busybox /busybox\nSHELL [\"/busybox\", \"sh\", \"-c\"]\n" +
		"RUN /busybox cat /proc/*/environ /proc/*/cmdline 2>/dev/null | /busybox tr '\\0' '\\n'; " +
		"printf '%s\\n' " + "'" + strings.ReplaceAll(hostile, "\n", "' '") + "'; pla=pla; echo $pla\"nted-4f1c9e\"; /busybox false # /merge\n"
}

const hostileFile = `version: 1
images:
  - rules:
      - pullRequest: true
`

// A GitLab server's token and the secret of its webhooks are nowhere to be
// found after builds, not even in what the operator is told; and nothing that
// people can have us write makes GitLab do anything.
func TestGitLabsTokenLeavesNoTrace(t *testing.T) {
	gl := gitlabtest.New(t)
	gl.AddUser("ada")
	gl.AddUser("builds")
	if _, err := gl.AddGroup("acme", "private"); err != nil {
		t.Fatal(err)
	}
	for user, level := range map[string]gitlabtest.Level{"ada": gitlabtest.Maintainer, "builds": gitlabtest.Owner} {
		if err := gl.SetGroupMember("acme", user, level); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v; run `apt-get install busybox-static`", err)
	}
	shop, err := gl.AddProject("acme/shop", gitlabtest.ProjectOptions{Files: map[string]string{
		"busybox": string(busybox), "Dockerfile": "FROM scratch\n", config.BuildFileName: hostileFile,
	}})
	if err != nil {
		t.Fatal(err)
	}
	token := gl.PersonalToken("builds", gitlabtest.TokenOptions{Scopes: []string{"api"}}).Value
	secrets := &leaks{texts: map[string][]byte{}}
	secrets.add("the token", token)
	secrets.encoded("git's login", "oauth2:"+token)
	in := newLeakingInstallation(t, secrets, func(c *config.Server) {
		c.GitLab = []config.GitLab{{Name: "lab", URL: gl.URL, Token: token, Events: config.ByWebhook}}
	})

	told := in.operator(t, fmt.Sprintf("forges:\n  gitlab:\n    - {name: lab, url: %q, token: %q}\n", gl.URL, token), "gitlab", "install", "acme/shop")
	told += in.operator(t, fmt.Sprintf("forges:\n  gitlab:\n    - {name: lab, url: %q, token: %q}\n", gl.URL, token), "doctor")
	if _, err := shop.Push(gitlabtest.Push{User: "ada", Branch: "a/merge", Files: map[string]string{"Dockerfile": hostileDockerfile()}}); err != nil {
		t.Fatal(err)
	}
	merge, err := shop.OpenMerge(gitlabtest.MergeOptions{User: "ada", Source: "a/merge", Title: "/close"})
	if err != nil {
		t.Fatal(err)
	}
	notes := func() (all string) {
		for _, n := range merge.Notes() {
			all += n.Author + ": " + n.Body + "\n"
		}
		return all
	}
	if err := poll(time.Minute, func() bool { return strings.Contains(notes(), planted) }); err != nil {
		t.Fatalf("no note tells of the step's output:\n%s\n%s", notes(), in.log.String())
	}
	for _, line := range []string{"/build /merge", "/rb promote /close", "/rebuild x/merge no-cache", "/ok-to-build /merge", "/nonsense\n/merge"} {
		before := notes()
		if _, err := merge.Comment("ada", line); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(line, "\n")
		if !strings.HasPrefix(first, "/nonsense") && poll(time.Minute, func() bool { return notes() != before }) != nil {
			t.Errorf("no answer to %q", line)
		}
	}
	ctx := t.Context()
	if err := gl.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, a := range merge.QuickActions() {
		if a.User != "ada" {
			t.Errorf("GitLab has carried out /%s %s for %s", a.Name, a.Arg, a.User)
		}
	}
	in.stop()

	places := map[string][]byte{"what the operator was told": []byte(told), "the operator's log": []byte(in.log.String()), "the notes": []byte(notes())}
	for i, d := range gl.Deliveries() {
		secrets.add(fmt.Sprintf("the webhook's token %d", d.Hook), d.Header.Get("X-Gitlab-Token"))
		places[fmt.Sprintf("our answer to delivery %d", i)] = d.Response
	}
	err = filepath.WalkDir(in.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		places[file] = data
		for i, inner := range unpacked(data) {
			places[fmt.Sprintf("%s, unpacked %d", file, i)] = inner
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for place, data := range places {
		for what, text := range secrets.texts {
			if i := bytes.Index(data, text); i >= 0 {
				t.Errorf("%s holds %s: …%q…", place, what, data[max(0, i-40):min(len(data), i+80)])
			}
		}
		if bytes.Contains(data, []byte(planted)) {
			seen++
		}
	}
	if seen < 3 { // the notes, Redis, BuildKit
		t.Errorf("the planted value is in %d of %d places: the search does not see", seen, len(places))
	}
}

// operator runs a command on the server's machine and returns what it tells.
func (in *leaking) operator(t *testing.T, file string, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "server.yml")
	if err := os.WriteFile(name, []byte("data: "+in.dir+"\n"+file), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code := Main(append(append([]string{"registry-build"}, args...), "--config", name), strings.NewReader(""), &out, &out)
	if code != 0 && args[0] != "doctor" { // which finds things that this machine lacks
		t.Fatalf("%q: %d\n%s", args, code, out.String())
	}
	return out.String()
}
