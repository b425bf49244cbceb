package gitops

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"compress/gzip"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

const password = "s3cret-t0ken-of-the-forge"

// TestMain has git trust the one certificate that all servers of httptest have.
func TestMain(m *testing.M) {
	os.Exit(trusting(m.Run))
}

func trusting(run func() int) int {
	dir, err := os.MkdirTemp("", "gitops")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	server.Close()
	file := filepath.Join(dir, "ca.pem")
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.Setenv("GIT_SSL_CAINFO", file)); err != nil {
		panic(err)
	}
	return run()
}

// remote is a forge of one's own: bare repositories over git's smart protocol,
// with TLS, behind a password.
type remote struct {
	t      *testing.T
	dir    string
	server *httptest.Server
	filter string // uploadpack.allowFilter
	format string // of objects

	mu       sync.Mutex
	requests []string
	before   func(r *http.Request) (status int) // != 0: is answered so
	pulls    []PullRequest
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is not installed: apt-get install -y git")
	}
	r := &remote{t: t, dir: t.TempDir(), filter: "true", format: "sha1"}
	r.server = httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	return r
}

func (r *remote) git(stdin string, args ...string) string {
	r.t.Helper()
	out, err := r.tryGit(stdin, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *remote) tryGit(stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(stdin)
	cmd.Env = r.env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (r *remote) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
}

// repository makes a bare repository with files on main.
func (r *remote) repository(name string, files map[string]string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, name+".git")
	r.git("", "init", "-q", "--bare", "--initial-branch=main", "--object-format="+r.format, dir)
	for _, kv := range [][2]string{{"uploadpack.allowFilter", r.filter}, {"http.receivepack", "true"}, {"gc.auto", "0"}, {"receive.autogc", "false"}} {
		r.git("", "-C", dir, "config", kv[0], kv[1])
	}
	r.push(name, "main", files)
}

// push commits files to a branch, as a person would; it returns the commit.
func (r *remote) push(name, branch string, files map[string]string) string {
	r.t.Helper()
	return r.pushAs(name, branch, files, "change")
}

func (r *remote) pushAs(name, branch string, files map[string]string, message string) string {
	r.t.Helper()
	dir := filepath.Join(r.dir, name+".git")
	var script strings.Builder
	fmt.Fprintf(&script, "commit refs/heads/%s\ncommitter Ada <ada@example.com> %d +0000\ndata %d\n%s\n", branch, time.Now().Unix(), len(message), message)
	if parent, err := r.tryGit("", "-C", dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		fmt.Fprintf(&script, "from %s\n", parent)
	}
	for path, text := range files {
		fmt.Fprintf(&script, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
	}
	r.git(script.String(), "-C", dir, "fast-import", "--quiet")
	return r.head(name, branch)
}

func (r *remote) head(name, branch string) string {
	r.t.Helper()
	return r.git("", "-C", filepath.Join(r.dir, name+".git"), "rev-parse", "refs/heads/"+branch)
}

func (r *remote) file(name, branch, path string) string {
	r.t.Helper()
	return r.git("", "-C", filepath.Join(r.dir, name+".git"), "cat-file", "blob", "refs/heads/"+branch+":"+path)
}

func (r *remote) count(name, branch string) int {
	r.t.Helper()
	return len(strings.Fields(r.git("", "-C", filepath.Join(r.dir, name+".git"), "rev-list", "refs/heads/"+branch)))
}

func (r *remote) url(name string) string { return r.server.URL + "/" + name + ".git" }

// meddle is asked about every request from now on.
func (r *remote) meddle(f func(*http.Request) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// serve is git http-backend without its buffering.
func (r *remote) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	before := r.before
	r.mu.Unlock()
	if before != nil {
		if status := before(req); status != 0 {
			http.Error(w, "not now", status)
			return
		}
	}
	if _, got, _ := req.BasicAuth(); got != password {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	path, action, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), ".git/")
	dir := filepath.Join(r.dir, path+".git")
	if _, err := os.Stat(dir); err != nil {
		http.NotFound(w, req)
		return
	}
	service, more := strings.TrimPrefix(action, "git-"), []string{"--stateless-rpc"}
	if action == "info/refs" {
		full := req.URL.Query().Get("service")
		service = strings.TrimPrefix(full, "git-")
		more = append(more, "--advertise-refs")
		w.Header().Set("Content-Type", "application/x-"+full+"-advertisement")
		if service == "receive-pack" || !strings.Contains(req.Header.Get("Git-Protocol"), "version=2") {
			line := "# service=" + full + "\n"
			fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
		}
	} else {
		w.Header().Set("Content-Type", "application/x-git-"+service+"-result")
	}
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(req.Body)
	}
	cmd := exec.CommandContext(req.Context(), "git", append(append([]string{service}, more...), dir)...)
	cmd.Env = append(r.env(), "GIT_PROTOCOL="+req.Header.Get("Git-Protocol"))
	cmd.Stdin, cmd.Stdout = body, w
	_ = cmd.Run()
}

// Find and Remote make it a Forge; OpenPull a Puller.
func (r *remote) Find(_ context.Context, name string) (builder.Repository, error) {
	owner, short, _ := strings.Cut(name, "/")
	if _, err := os.Stat(filepath.Join(r.dir, name+".git")); err != nil {
		return builder.Repository{}, fmt.Errorf("repository %s: %w", name, builder.ErrNotFound)
	}
	return builder.Repository{Forge: "test", ID: name, Owner: owner, Name: short}, nil
}

func (r *remote) Remote(_ context.Context, repo builder.Repository) (Remote, error) {
	return Remote{
		URL: r.url(repo.FullName()), Header: "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+password)),
		CommitURL: r.server.URL + "/" + repo.FullName() + "/commit/",
	}, nil
}

func (r *remote) OpenPull(_ context.Context, repo builder.Repository, p PullRequest) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, o := range r.pulls {
		if o.Head == p.Head {
			r.pulls[i] = p
			return fmt.Sprintf("%s/%s/pull/%d", r.server.URL, repo.FullName(), i+1), nil
		}
	}
	r.pulls = append(r.pulls, p)
	return fmt.Sprintf("%s/%s/pull/%d", r.server.URL, repo.FullName(), len(r.pulls)), nil
}

// vault has one credential of each kind, all with the password.
type vault struct{}

func (vault) Open(_ context.Context, name string, by builder.Use) (builder.Credential, error) {
	c := builder.Credential{Name: name, Fields: map[string]string{builder.FieldValue: password}}
	switch name {
	case "token":
		c.Kind = builder.KindToken
	case "password":
		c.Kind = builder.KindPassword
		c.Fields = map[string]string{builder.FieldUsername: "ada", builder.FieldPassword: password}
	case "wrong":
		c.Kind = builder.KindToken
		c.Fields[builder.FieldValue] = "not-the-password"
	case "ssh":
		c.Kind = builder.KindSSHKey
	default:
		return c, fmt.Errorf("there is no credential %q: %w", name, builder.ErrNotFound)
	}
	if by.Lane == builder.ForkLane || len(by.Names) == 0 {
		return c, builder.ErrDenied
	}
	return c, nil
}

func (vault) Logins(context.Context, builder.Use) ([]builder.Credential, error) {
	return nil, errors.New("not asked for")
}

// kind makes a Kind with a folder of its own.
func (r *remote) kind(change ...func(*Options)) *Kind {
	r.t.Helper()
	o := Options{
		Dir: r.t.TempDir(), Forges: map[string]Forge{"test": r}, Vault: vault{}, Registry: "registry.example.com",
		Policy:   []config.Policy{{Repositories: []string{"acme/shop"}, Manifests: []string{"test:acme/*", "https://127.0.0.1:*/acme/*"}}},
		BuildURL: func(id string) string { return "https://builds.example.com/builds/" + id },
	}
	for _, f := range change {
		f(&o)
	}
	k, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// firing is what build number n tells: its digest is made from n.
func firing(n int, g config.GitOps) trigger.Firing {
	b := builder.Record{
		Build: builder.Build{
			ID: fmt.Sprintf("06BUILD%09d", n), Repository: builder.Repository{Forge: "test", ID: "acme/shop", Owner: "acme", Name: "shop"},
			Commit: fmt.Sprintf("%040d", n), Actor: "ada", Destination: "acme/shop", Names: []string{"acme/shop"}, Lane: builder.TrustedLane,
			AcceptedAt: start.Add(time.Duration(n) * time.Second), Seq: int64(n),
		},
		Result: builder.Result{Digest: digest(n)},
	}
	return trigger.Firing{
		Trigger: config.Trigger{Name: "prod", GitOps: &g}, Event: config.OnPushed, Record: b, Tags: []string{fmt.Sprintf("v1.0.%d", n)},
		Delivery: b.ID + "-prod", Attempt: 1,
	}
}

func digest(n int) string { return fmt.Sprintf("sha256:%064d", n) }

func ref(n int) string { return fmt.Sprintf("registry.example.com/acme/shop:v1.0.%d@%s", n, digest(n)) }

// deploy is a trigger that writes the text at a path of deploy.yaml.
func deploy(path string) config.GitOps {
	return config.GitOps{Repository: "acme/deploy", File: "apps/deploy.yaml", Path: path}
}

func mustFire(t *testing.T, k *Kind, f trigger.Firing) trigger.Answer {
	t.Helper()
	a, err := k.Fire(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
