package app

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/builder/trigger/kubernetes/kubetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// The test binary is the program, also when git runs it as a hook.
func TestMain(m *testing.M) {
	program := func() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	// A hook gets a clean environment from git, so the race detector would
	// make it wait a second at its exit (GORACE, below) if it exited in order.
	hook := func() { syscall.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	testscript.Main(m, map[string]func(){
		"registry-build": program, "pre-receive": hook, "post-receive": hook,
	})
}

// TestScript tells whole stories, each with an installation of its own: real
// git, Redis, BuildKit and registry. The files say what a person types and
// sees; testdata/script/README.md lists the commands.
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
		ContinueOnError:     os.Getenv("CONTINUE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+bin)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "share"))
			env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, ".gitconfig"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("GIT_TERMINAL_PROMPT", "0")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second more
			s := &story{dir: env.WorkDir, data: filepath.Join(env.WorkDir, "share", "registry-build")}
			env.Setenv("DATA", s.data)
			env.Values[storyKey{}] = s
			env.Defer(s.end)
			return s.prepare()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// What runs beside the script: story_test.go, receiver_test.go, outside_test.go.
			"up": cmdUp, "down": cmdDown, "receiver": cmdReceiver, "gate": cmdGate, "redis": cmdRedis, "registry": cmdRegistry, "process": cmdProcess,
			// What it does and looks at: commands_test.go.
			"repo": cmdRepo, "let": cmdLet, "build": cmdBuild, "image": cmdImage, "push": cmdPush, "digest": cmdDigest, "until": cmdUntil, "api": cmdAPI,
			// A Kubernetes of its own: cluster_test.go.
			"cluster": cmdCluster,
			// A GitHub of its own: github_test.go.
			"github": cmdGitHub,
			"gitlab": cmdGitLab,
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
	gate      *http.Server
	open      atomic.Bool // the gate
	github    *githubtest.Server
	gitlab    map[string]*gitlabtest.Server // by the name that the story gives them
	slug      string                        // of the app there
	installed *githubtest.Installation
	cluster   *kubetest.Cluster
	kubelet   *kubetest.Kubelet
	marked    map[string]int // how many calls there were when `github calls` marked them
}

type storyKey struct{}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// prepare lets git find the token that `up` will make, and gives the story a
// port that no other story takes while this one's `up` is down.
func (s *story) prepare() error {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.data, "port"), fmt.Appendln(nil, port), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, ".gitconfig"), fmt.Appendf(nil, `
[user]
	name = Ada
	email = ada@example.com
[init]
	defaultBranch = main
[advice]
	detachedHead = false
[credential]
	helper = "!f() { echo username=owner; echo \"password=$(cat '%s/token')\"; }; f"
`, s.data), 0o600)
}

func (s *story) end() {
	s.stop(syscall.SIGTERM)
	if s.cluster != nil {
		s.cluster.Stop()
	}
	if s.redis != nil {
		s.redis.Process.Kill()
		s.redis.Wait()
	}
	for _, server := range []*http.Server{s.receiver, s.gate} {
		if server != nil {
			server.Close()
		}
	}
}
