package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the program, also when git runs it as a hook.
func TestMain(m *testing.M) {
	program := func() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	testscript.Main(m, map[string]func(){
		"registry-build": program, "pre-receive": program, "post-receive": program,
	})
}

// TestScript tells whole stories, each with an installation of its own: real
// git, Redis, BuildKit and registry. The files say what a person types and
// sees.
func TestScript(t *testing.T) {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	for program, hint := range map[string]string{
		filepath.Join(bin, "buildkitd"): "make tools", "redis-server": "make test-deps", "runc": "make test-deps", "busybox": "make test-deps", "git": "make test-deps",
	} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; run `%s`", err, hint)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+bin)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "share"))
			env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, ".gitconfig"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("GIT_TERMINAL_PROMPT", "0")
			s := &story{dir: env.WorkDir, data: filepath.Join(env.WorkDir, "share", "registry-build")}
			env.Values[story{}] = s
			env.Defer(s.end)
			return s.gitConfig()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": cmdUp, "down": cmdDown, "repo": cmdRepo, "image": cmdImage, "receiver": cmdReceiver,
			"redis": cmdRedis, "until": cmdUntil, "api": cmdAPI,
		},
	})
}

// story is what a script has running.
type story struct {
	dir, data string
	up        *exec.Cmd
	upExited  chan error
	redis     *exec.Cmd
	receiver  *http.Server
}

const (
	upLimit    = 60 * time.Second
	untilLimit = 60 * time.Second
)

func storyOf(ts *testscript.TestScript) *story { return ts.Value(story{}).(*story) }

// gitConfig lets git find the token that `up` made.
func (s *story) gitConfig() error {
	return os.WriteFile(filepath.Join(s.dir, ".gitconfig"), fmt.Appendf(nil, `
[user]
	name = Ada
	email = ada@example.com
[init]
	defaultBranch = main
[credential]
	helper = "!f() { echo username=owner; echo \"password=$(cat '%s/token')\"; }; f"
`, s.data), 0o600)
}

func (s *story) end() {
	s.stop(syscall.SIGTERM)
	if s.redis != nil {
		s.redis.Process.Kill()
		s.redis.Wait()
	}
	if s.receiver != nil {
		s.receiver.Close()
	}
}

func (s *story) stop(sig syscall.Signal) error {
	if s.up == nil {
		return nil
	}
	s.up.Process.Signal(sig)
	select {
	case <-s.upExited:
		s.up = nil
		return nil
	case <-time.After(upLimit):
		s.up.Process.Kill()
		s.up = nil
		return fmt.Errorf("`up` did not stop in %s", upLimit)
	}
}

// cmdUp starts `registry-build up ARGS` and waits until it answers. It sets
// URL, HOST and TOKEN. With ! it must refuse to start; its output is in
// up.err.
func cmdUp(ts *testscript.TestScript, neg bool, args []string) {
	s := storyOf(ts)
	os.Remove(filepath.Join(s.data, "url"))
	log, err := os.OpenFile(filepath.Join(s.dir, "up.err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	self, err := lookPath("registry-build", ts.Getenv("PATH"))
	ts.Check(err)
	s.up = exec.Command(self, append([]string{"up"}, args...)...)
	s.up.Dir, s.up.Env = ts.Getenv("WORK"), environ(ts)
	s.up.Stdout, s.up.Stderr = log, log
	s.upExited = make(chan error, 1)
	ts.Check(s.up.Start())
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(s.up, s.upExited)
	err = poll(upLimit, func() bool {
		_, err := os.Stat(filepath.Join(s.data, "url"))
		return err == nil || len(s.upExited) > 0
	})
	ts.Check(err)
	if len(s.upExited) > 0 {
		<-s.upExited
		s.up = nil
		if !neg {
			ts.Fatalf("up ended:\n%s", ts.ReadFile("up.err"))
		}
		return
	}
	if neg {
		ts.Fatalf("up started, and should not have")
	}
	url, err := os.ReadFile(filepath.Join(s.data, "url"))
	ts.Check(err)
	token, err := os.ReadFile(filepath.Join(s.data, "token"))
	ts.Check(err)
	ts.Setenv("URL", strings.TrimSpace(string(url)))
	ts.Setenv("HOST", strings.TrimPrefix(strings.TrimSpace(string(url)), "http://"))
	ts.Setenv("TOKEN", strings.TrimSpace(string(token)))
}

// lookPath finds a program as the script's shell would.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); executable(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not on %s", name, path)
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "TMPDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// cmdDown stops `up`: down [TERM|KILL].
func cmdDown(ts *testscript.TestScript, _ bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		sig = syscall.SIGKILL
	}
	ts.Check(storyOf(ts).stop(sig))
}

// cmdRepo makes the folder a repository with one commit of all its files and
// a static busybox, and origin at /git/OWNER/NAME.git: repo FOLDER OWNER/NAME.
func cmdRepo(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: repo FOLDER OWNER/NAME")
	}
	dir := ts.MkAbs(args[0])
	busybox, err := exec.LookPath("busybox")
	ts.Check(err)
	data, err := os.ReadFile(busybox)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "busybox"), data, 0o755))
	for _, args := range [][]string{
		{"init", "-q"}, {"remote", "add", "origin", ts.Getenv("URL") + "/git/" + args[1] + ".git"}, {"add", "-A"}, {"commit", "-q", "-m", "first"},
	} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
	}
}

// cmdImage prints digest, tags, config and labels of an image in the embedded
// registry, as a pull sees it: image OWNER/NAME[:TAG|@DIGEST].
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	ref, err := name.ParseReference(ts.Getenv("HOST") + "/" + args[0])
	ts.Check(err)
	login := remote.WithAuth(&authn.Basic{Username: "owner", Password: ts.Getenv("TOKEN")})
	image, err := remote.Image(ref, login)
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

// cmdReceiver starts an HTTP server that writes each request into
// hooks.log, and sets HOOK to its address.
func cmdReceiver(ts *testscript.TestScript, _ bool, _ []string) {
	s := storyOf(ts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	file := filepath.Join(s.dir, "hooks.log")
	ts.Check(os.WriteFile(file, nil, 0o600))
	s.receiver = &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		defer f.Close()
		fmt.Fprintf(f, "%s %s\n", r.Header.Get("Registry-Build-Event"), r.Header.Get("Registry-Build-Signature"))
		fmt.Fprintf(f, "%s\n", body)
	})}
	go s.receiver.Serve(l)
	ts.Setenv("HOOK", "http://"+l.Addr().String())
}

// cmdRedis starts or kills a redis-server outside of `up` and sets REDIS to
// its socket's address: redis start|kill.
func cmdRedis(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	dir, err := os.MkdirTemp("", "rb-redis-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	switch args[0] {
	case "start":
		if old := ts.Getenv("REDIS_DIR"); old != "" {
			dir = old
		}
		socket := filepath.Join(dir, "s")
		s.redis = exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
		ts.Check(s.redis.Start())
		ts.Check(poll(upLimit, func() bool {
			c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
			if err == nil {
				c.Close()
			}
			return err == nil
		}))
		ts.Setenv("REDIS_DIR", dir)
		ts.Setenv("REDIS", "unix://"+socket)
	case "kill":
		s.redis.Process.Kill()
		s.redis.Wait()
		s.redis = nil
	default:
		ts.Fatalf("usage: redis start|kill")
	}
}

// cmdUntil runs a command again until its output holds the text: until TEXT
// COMMAND ARGS. The last output is stdout.
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	var out []byte
	err := poll(untilLimit, func() bool {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
		out, _ = cmd.CombinedOutput()
		return strings.Contains(string(out), args[0])
	})
	ts.Stdout().Write(out)
	if err != nil {
		ts.Fatalf("%q did not come in %s:\n%s", args[0], untilLimit, out)
	}
}

// cmdAPI calls the REST API with the owner's token: api METHOD PATH [BODY].
// With ! the answer must not be 2xx.
func cmdAPI(ts *testscript.TestScript, neg bool, args []string) {
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], body)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("TOKEN"))
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

// poll looks every 20 ms until it is true.
func poll(limit time.Duration, ok func() bool) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing in %s", limit)
		}
		<-tick.C
	}
	return nil
}
