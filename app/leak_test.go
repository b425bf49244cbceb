package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/ssh"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers"
)

// What a build with every kind of credential prints, in every way, is nowhere
// to be found afterwards: not in the images, not in the builder's state, not
// in Redis, not in logs, answers and pages. What is planted beside it is found
// in all of these places, so that the search is one.
func TestSecretsLeaveNoTrace(t *testing.T) {
	secrets := newLeaks(t)
	in := newLeakingInstallation(t, secrets)

	good := in.push(t, "main", leakingDockerfile(secrets.base, ""))
	broken := in.push(t, "broken", leakingDockerfile(secrets.base, "; exit 7"))
	for name, said := range map[string]string{"main": good, "broken": broken} {
		if !strings.Contains(said, "raw: ***") || !strings.Contains(said, planted) || !strings.Contains(said, "signed by the agent") {
			t.Fatalf("%s did not do what it should:\n%s", name, said)
		}
	}
	if !strings.Contains(good, "tag ") || !strings.Contains(broken, "exited with 7") {
		t.Fatalf("the builds did not end as they should:\n%s\n%s", good, broken)
	}
	places := map[string][]byte{"what git push shows": []byte(good + broken)}
	for _, path := range in.paths(t) {
		places[path] = in.get(t, path)
	}
	in.stop()
	places["the operator's log"] = []byte(in.log.String())

	found := map[string]bool{} // rooms where the planted value is
	look := func(place string, data []byte) {
		for what, text := range secrets.texts {
			if i := bytes.Index(data, text); i >= 0 {
				t.Errorf("%s holds %s: …%q…", place, what, data[max(0, i-40):min(len(data), i+80)])
			}
		}
		if bytes.Contains(data, []byte(planted)) {
			room, _, _ := strings.Cut(place, "/")
			found[room] = true
		}
	}
	for place, data := range places {
		look(place, data)
		if strings.HasPrefix(place, "/api/") && strings.HasSuffix(place, "/log") && !bytes.Contains(data, []byte(planted)) {
			t.Errorf("%s shows nothing of the step", place)
		}
	}
	files := 0
	err := filepath.WalkDir(in.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		files++
		place := strings.TrimPrefix(file, in.dir+"/")
		look(place, data)
		for _, inner := range unpacked(data) {
			look(place+" (unpacked)", inner)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"what git push shows", "registry", "buildkit", "redis"} {
		if !found[room] {
			t.Errorf("the planted value is not found in %s: the search does not see", room)
		}
	}
	t.Logf("%d files and %d answers searched for %d texts", files, len(places), len(secrets.texts))
}

// planted is printed and kept by a step that puts it together itself, so that
// it stands in no source.
const planted = "planted-4f1c9e"

func leakingDockerfile(base, end string) string {
	return "FROM " + base + "\nCOPY busybox leaker /\nSHELL [\"/busybox\", \"sh\", \"-c\"]\n" +
		"RUN --mount=type=secret,id=npmrc --mount=type=secret,id=kube,target=/kube --mount=type=secret,id=CLOUD_ID,env=CLOUD_ID --mount=type=secret,id=CLOUD_KEY,env=CLOUD_KEY --mount=type=ssh " +
		"/leaker /run/secrets/npmrc /kube CLOUD_ID CLOUD_KEY; echo pla\"\"nted-4f1c9e | /busybox tee /kept" + end + "\n"
}

const leakingFile = `version: 1
images:
  - secrets:
      - {id: npmrc, credential: npm}
      - {id: kube, credential: cluster}
      - {credential: cloud, secretIdVariable: CLOUD_ID, secretKeyVariable: CLOUD_KEY}
    ssh:
      - {credential: deploy}
    rules:
      - branch: "*"
        tags: [latest]
`

// leaks are credentials of every kind that builds use, and the texts in which
// their values would be seen.
type leaks struct {
	base        string // a private image
	credentials []builder.Credential
	texts       map[string][]byte
}

func newLeaks(t *testing.T) *leaks {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "deploy")
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(block))
	const kubeconfig = "apiVersion: v1\nkind: Config\nclusters: [{name: prod, cluster: {server: \"https://k8s.example.com\"}}]\n" +
		"users: [{name: ci, user: {token: kube+7Tq/91hZ=xv3}}]\ncontexts: [{name: prod, context: {cluster: prod, user: ci}}]\ncurrent-context: prod\n"
	l := &leaks{texts: map[string][]byte{}}
	add := func(name string, kind builder.CredentialKind, fields ...string) {
		c := builder.Credential{Name: name, Kind: kind, Fields: map[string]string{}}
		for i := 0; i < len(fields); i += 2 {
			c.Fields[fields[i]] = fields[i+1]
		}
		l.credentials = append(l.credentials, c)
	}
	const password = "base pass+word/9&x\"Y"
	l.base = privateBase(t, "robot", password)
	host, _, _ := strings.Cut(l.base, "/")
	add("npm", builder.KindToken, builder.FieldValue, "npm_8sJ+/kQ2=zX&9\"w")
	add("cloud", builder.KindAPIKey, builder.FieldSecretID, "AKIDz8krbsJ5yKBZQpn7", builder.FieldSecretKey, "Gu5t9xGARNpq86cd98+/joQYCN3")
	add("deploy", builder.KindSSHKey, builder.FieldValue, private)
	add("cluster", builder.KindKubeconfig, builder.FieldValue, kubeconfig)
	add("private-base", builder.KindRegistryLogin, builder.FieldRegistry, host+"/acme", builder.FieldUsername, "robot", builder.FieldPassword, password)
	for name, value := range map[string]string{"the token": "npm_8sJ+/kQ2=zX&9\"w", "the secret id": "AKIDz8krbsJ5yKBZQpn7", "the secret key": "Gu5t9xGARNpq86cd98+/joQYCN3",
		"the kubeconfig's token": "kube+7Tq/91hZ=xv3", "the password": password} {
		l.add(name, value)
	}
	l.encoded("the kubeconfig", kubeconfig)
	l.encoded("the key", private)
	l.encoded("the login", "robot:"+password)
	for i, line := range strings.Split(strings.TrimSpace(private), "\n") {
		if !strings.HasPrefix(line, "-----") {
			l.texts[fmt.Sprintf("line %d of the key", i)] = []byte(line)
		}
	}
	l.texts["the key's bytes"] = key.Seed()
	return l
}

func (l *leaks) add(name, value string) {
	l.texts[name] = []byte(value)
	l.texts[name+" in an address"] = []byte(url.QueryEscape(value))
	l.texts[name+" in a path"] = []byte(url.PathEscape(value))
	quoted, _ := json.Marshal(value)
	l.texts[name+" in JSON"] = bytes.Trim(quoted, `"`)
	l.encoded(name, value)
}

// encoded are the middles of base64, wherever the value begins in its text.
func (l *leaks) encoded(name, value string) {
	for skip := range 3 {
		for kind, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := e.EncodeToString([]byte("xx"[:skip] + value))
			l.texts[fmt.Sprintf("%s in %s+%d", name, kind, skip)] = []byte(text[4 : len(text)-4])
		}
	}
}

// privateBase is an image at a registry that asks for a login.
func privateBase(t *testing.T, user, password string) string {
	t.Helper()
	host := buildkittest.Registry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}`, http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	image, err := crane.Image(map[string][]byte{"etc/private": []byte("a base\n")})
	if err == nil {
		image, err = mutate.ConfigFile(image, withPlatform(image))
	}
	if err == nil {
		err = crane.Push(image, host+"/acme/base:1", crane.WithAuth(&authn.Basic{Username: user, Password: password}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return host + "/acme/base:1"
}

// withPlatform is the image's configuration with a platform; without one
// nothing that is built on it can be exported.
func withPlatform(image v1.Image) *v1.ConfigFile {
	c, err := image.ConfigFile()
	if err != nil {
		return &v1.ConfigFile{}
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", runtime.GOARCH
	return c
}

// leaking is a whole installation, in this process, with its children.
type leaking struct {
	dir, url, token string
	work            string
	log             *safeBuffer
	stop            func()
}

func newLeakingInstallation(t *testing.T, l *leaks, change ...func(*config.Server)) *leaking {
	t.Helper()
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+bin)
	in := &leaking{dir: t.TempDir(), work: t.TempDir(), log: &safeBuffer{}}
	credentials, err := credential.Open(filepath.Join(in.dir, "credentials"), filepath.Join(in.dir, "credentials", "key.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range l.credentials {
		if err := credentials.Set(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.DefaultServer()
	cfg.Data, cfg.Listen = in.dir, "127.0.0.1:0"
	cfg.Policy = []config.Policy{{Repositories: []string{"acme/*"}, Credentials: []string{"*"}}}
	for _, c := range change {
		c(cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- up(ctx, cfg, 0, io.Discard, slog.New(slog.NewTextHandler(in.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	stopped := false
	in.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(in.stop)
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(in.dir, name))
		return strings.TrimSpace(string(data))
	}
	err = poll(upLimit, func() bool { return read("url") != "" || len(ended) > 0 })
	if in.url, in.token = read("url"), read("token"); err != nil || in.url == "" {
		t.Fatalf("it did not start: %v\n%s", err, in.log.String())
	}
	leaker := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(in.work, "leaker"), "./testdata/leaker")
	leaker.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := leaker.CombinedOutput(); err != nil {
		t.Fatalf("build the leaker: %v\n%s", err, out)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v; run `apt-get install busybox-static`", err)
	}
	if err := os.WriteFile(filepath.Join(in.work, "busybox"), busybox, 0o700); err != nil {
		t.Fatal(err)
	}
	in.write(t, config.BuildFileName, leakingFile)
	in.git(t, "init", "-q", "-b", "main")
	return in
}

func (in *leaking) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(in.work, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (in *leaking) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", in.work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "push" { // a build that fails fails the push
		t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// push builds the Dockerfile on a branch and returns what git shows.
func (in *leaking) push(t *testing.T, branch, dockerfile string) string {
	t.Helper()
	in.write(t, "Dockerfile", dockerfile)
	in.git(t, "add", "-A")
	in.git(t, "commit", "-q", "-m", branch)
	address := strings.Replace(in.url, "http://", "http://owner:"+in.token+"@", 1)
	return in.git(t, "push", address+"/git/acme/hello.git", "HEAD:refs/heads/"+branch)
}

// paths of all that the API and the pages tell of the builds.
func (in *leaking) paths(t *testing.T) []string {
	t.Helper()
	const list = "/api/v1/builds?repository=acme/hello"
	var builds handlers.BuildList
	err := poll(time.Minute, func() bool {
		builds = handlers.BuildList{}
		err := json.Unmarshal(in.get(t, list), &builds)
		return err == nil && len(builds.Builds) == 2 && !slices.ContainsFunc(builds.Builds, func(b handlers.Build) bool { return !builder.State(b.State).Terminal() })
	})
	if err != nil {
		t.Fatalf("the builds did not end: %+v", builds)
	}
	paths := []string{list, "/"}
	for _, b := range builds.Builds {
		paths = append(paths, "/api/v1/builds/"+b.ID, "/api/v1/builds/"+b.ID+"/log", "/builds/"+b.ID)
	}
	return paths
}

func (in *leaking) get(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+in.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", path, resp.Status, err, data)
	}
	return data
}

// unpacked is what is compressed in a file: all of it, or zstd frames among
// other things, as Redis writes them down.
func unpacked(data []byte) [][]byte {
	var out [][]byte
	if z, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
		inner, _ := io.ReadAll(z)
		out = append(out, inner)
	}
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for rest := data; ; {
		i := bytes.Index(rest, magic)
		if i < 0 {
			return out
		}
		rest = rest[i:]
		if z, err := zstd.NewReader(bytes.NewReader(rest), zstd.WithDecoderConcurrency(1)); err == nil {
			inner, err := io.ReadAll(io.LimitReader(z, 64<<20))
			if len(inner) > 0 || errors.Is(err, io.EOF) {
				out = append(out, inner)
			}
			z.Close()
		}
		rest = rest[len(magic):]
	}
}
