package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/handlers"
)

// cmdRepo makes the folder a repository with one commit of all its files and
// a static busybox, and origin at /git/OWNER/NAME.git: repo FOLDER OWNER/NAME.
func cmdRepo(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: repo FOLDER OWNER/NAME")
	}
	firstCommit(ts, args[0], ts.Getenv("URL")+"/git/"+args[1]+".git")
}

// firstCommit makes the folder a repository with an origin, and one commit of
// all its files and a static busybox.
func firstCommit(ts *testscript.TestScript, folder, origin string) {
	dir := ts.MkAbs(folder)
	busybox, err := exec.LookPath("busybox")
	ts.Check(err)
	data, err := os.ReadFile(busybox)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "busybox"), data, 0o755))
	for _, args := range [][]string{
		{"init", "-q"}, {"remote", "add", "origin", origin}, {"add", "-A"}, {"commit", "-q", "-m", "first"},
	} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
	}
}

// cmdLet keeps what a command prints in a variable: let NAME COMMAND ARGS.
func cmdLet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: let NAME COMMAND ARGS")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	out, err := cmd.Output()
	if err != nil {
		ts.Fatalf("%v\n%s", err, out)
	}
	ts.Setenv(args[0], strings.TrimSpace(string(out)))
}

// cmdBuild waits until there is a build of this description and keeps the ID
// of the newest in a variable: build NAME [state=running] [ref=…] [image=…]….
// These are the filters of the API's list.
func cmdBuild(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: build NAME [FILTER=VALUE...]")
	}
	find := func(query string) (list handlers.BuildList) {
		req, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+"/api/v1/builds?"+query, nil)
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+storyOf(ts).read(ts, "token"))
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		defer resp.Body.Close()
		ts.Check(json.NewDecoder(resp.Body).Decode(&list))
		return list
	}
	var found handlers.BuildList
	err := poll(untilLimit, func() bool {
		found = find(strings.Join(args[1:], "&"))
		return len(found.Builds) > 0
	})
	if err != nil {
		for _, b := range find("").Builds {
			ts.Logf("%s %s %s %s: %s", b.ID, b.State, b.Image, b.Ref, b.Status)
		}
		ts.Fatalf("there is no build with %s", args[1:])
	}
	ts.Setenv(args[0], found.Builds[0].ID)
}

// pull reads an image of the embedded registry with TOKEN; without one it
// comes as nobody.
func pull(ts *testscript.TestScript, reference string) (name.Reference, v1.Image, remote.Option, error) {
	ref, err := name.ParseReference(ts.Getenv("HOST") + "/" + reference)
	ts.Check(err)
	login := remote.WithAuth(authn.Anonymous)
	if token := ts.Getenv("TOKEN"); token != "" {
		login = remote.WithAuth(&authn.Basic{Username: "owner", Password: token})
	}
	image, err := remote.Image(ref, login)
	return ref, image, login, err
}

// cmdImage prints digest, tags, config and labels of an image in the embedded
// registry, as a pull sees it: image OWNER/NAME[:TAG|@DIGEST].
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: image OWNER/NAME[:TAG|@DIGEST]")
	}
	ref, image, login, err := pull(ts, args[0])
	if neg {
		if err == nil {
			ts.Fatalf("%s is there", ref)
		}
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	ts.Check(err)
	digest, err := image.Digest()
	ts.Check(err)
	config, err := image.ConfigFile()
	ts.Check(err)
	layers, err := image.Layers()
	ts.Check(err)
	tags, err := remote.List(ref.Context(), login)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "digest %s\ntags %s\nplatform %s/%s\ncmd %q\nenv %q\nlayers %d\n",
		digest, strings.Join(tags, " "), config.OS, config.Architecture, config.Config.Cmd, config.Config.Env, len(layers))
}

// cmdPush pushes an image of one file as somebody with TOKEN does, without a
// build of ours: push OWNER/NAME:TAG [CONTENT].
func cmdPush(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: push OWNER/NAME:TAG [CONTENT]")
	}
	ref, err := name.ParseReference(ts.Getenv("HOST") + "/" + args[0])
	ts.Check(err)
	layer := static.NewLayer([]byte(strings.Join(args[1:], "")), types.OCILayer)
	image, err := mutate.AppendLayers(empty.Image, layer)
	ts.Check(err)
	err = remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: "docker", Password: ts.Getenv("TOKEN")}))
	if neg == (err == nil) {
		ts.Fatalf("push %s: %v", ref, err)
	}
}

// cmdDigest keeps the digest that a tag names: digest NAME OWNER/NAME:TAG.
func cmdDigest(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: digest NAME OWNER/NAME:TAG")
	}
	_, image, _, err := pull(ts, args[1])
	ts.Check(err)
	digest, err := image.Digest()
	ts.Check(err)
	ts.Setenv(args[0], digest.String())
}

// cmdUntil runs a command again until its output holds the text: until TEXT
// COMMAND ARGS. The last output is stdout.
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until TEXT COMMAND ARGS")
	}
	ctx, done := context.WithTimeout(context.Background(), untilLimit)
	defer done()
	var out []byte
	err := poll(untilLimit, func() bool {
		cmd := exec.CommandContext(ctx, args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
		out, _ = cmd.CombinedOutput()
		return strings.Contains(string(out), args[0])
	})
	ts.Stdout().Write(out)
	if err != nil {
		ts.Fatalf("%q did not come in %s:\n%s", args[0], untilLimit, out)
	}
}

// cmdAPI calls the REST API with TOKEN, without one as nobody: api METHOD
// PATH [BODY]. With ! the answer must not be 2xx.
func cmdAPI(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: api METHOD PATH [BODY]")
	}
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], body)
	ts.Check(err)
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", resp.StatusCode, answer)
	if good := resp.StatusCode/100 == 2; good == neg {
		ts.Fatalf("%s %s answered %d:\n%s", args[0], args[1], resp.StatusCode, answer)
	}
}
