package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/registry-build/registry-build/app/instance"
	"github.com/registry-build/registry-build/builder/trigger/webhook"
)

//go:embed all:sample
var sample embed.FS

const (
	repository = "acme/hello"
	hookLimit  = 10 * time.Second
)

// demo is a running installation, a repository to push and a receiver of
// webhooks, all in one temporary folder.
type demo struct {
	*instance.Instance
	ctx      context.Context
	program  string
	dir      string
	secret   string
	receiver *http.Server
	hooks    chan delivery
	digest   string
	summary  []string
}

// delivery is what the receiver of webhooks got.
type delivery struct {
	event, id, signature string
	body                 []byte
	valid                bool
}

func open(ctx context.Context, program string) (*demo, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "registry-build-demo-")
	if err != nil {
		return nil, err
	}
	d := &demo{ctx: ctx, program: program, dir: dir, hooks: make(chan delivery, 16), secret: "the demonstration's signing secret"}
	for _, step := range []func() error{d.receive, d.configure, d.start, d.prepare} {
		if err := step(); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// receive starts the server that the webhook goes to.
func (d *demo) receive() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.receiver = &http.Server{Addr: l.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		got := delivery{event: r.Header.Get(webhook.EventHeader), id: r.Header.Get(webhook.DeliveryHeader),
			signature: r.Header.Get(webhook.SignatureHeader), body: body}
		got.valid = signed(got.signature, d.secret, body)
		d.hooks <- got
		fmt.Fprintln(w, "thank you")
	})}
	go d.receiver.Serve(l)
	return nil
}

// signed checks a delivery as a receiver does: the same MAC over the same
// time and body.
func signed(signature, secret string, body []byte) bool {
	var unix int64
	if _, err := fmt.Sscanf(signature, "t=%d,", &unix); err != nil {
		return false
	}
	return webhook.Sign(secret, time.Unix(unix, 0), body) == signature
}

// buildSecret is what a step of the sample prints, and nobody sees.
const buildSecret = "the-demonstration's-build-secret"

// configure keeps the credentials that the sample uses.
func (d *demo) configure() error {
	for _, c := range []struct{ name, kind, value string }{
		{"audit-secret", "signing-secret", d.secret},
		{"demo-token", "token", buildSecret},
	} {
		set := exec.CommandContext(d.ctx, d.program, "credentials", "set", c.name, "--kind", c.kind, "--data", d.path("data"))
		set.Stdin = strings.NewReader(c.value)
		set.Stdout, set.Stderr = os.Stdout, os.Stderr
		if err := set.Run(); err != nil {
			return err
		}
	}
	return nil
}

// settings are the operator's: what triggers may reach, and which credentials
// the sample may use.
const settings = `triggers:
  allowHosts: [127.0.0.1]  # the receiver of this demonstration
policy:
  - repositories: [` + repository + `]
    credentials: [audit-secret, demo-token]
`

// start runs `up` and waits for its address.
func (d *demo) start() (err error) {
	began := time.Now()
	d.Instance, err = instance.Start(d.ctx, instance.Options{
		Program: d.program, Dir: d.dir, Settings: settings,
	})
	if err != nil {
		return err
	}
	fmt.Printf("registry-build is up at %s after %s\n", d.URL, time.Since(began).Round(time.Millisecond))
	return nil
}

// prepare makes the sample a repository with one commit.
func (d *demo) prepare() error {
	files, err := fs.Sub(sample, "sample")
	if err != nil {
		return err
	}
	if err := os.CopyFS(d.path("hello"), files); err != nil {
		return err
	}
	if err := d.edit(".registry-build.yml", "http://127.0.0.1:8099", "http://"+d.receiver.Addr); err != nil {
		return err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; install it with `apt-get install busybox-static`", err)
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("hello", "busybox"), data, 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "Demo"},
		{"config", "user.email", "demo@example.com"},
		{"config", "credential.helper", d.CredentialHelper()},
		{"remote", "add", "origin", d.Remote(repository)},
		{"add", "."},
		{"commit", "-q", "-m", "A page and its image"},
	} {
		if out, err := d.git(io.Discard, args...); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// git runs git in the sample repository, shows its output and returns it.
func (d *demo) git(show io.Writer, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(d.ctx, "git", args...)
	cmd.Dir = d.path("hello")
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	cmd.Stdout = io.MultiWriter(&out, show)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	return out.String(), err
}

// edit replaces text in a file of the sample.
func (d *demo) edit(name, old, new string) error {
	path := d.path("hello", name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(old)) {
		return fmt.Errorf("%s has no %q", name, old)
	}
	return os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(new)), 0o644)
}

// invite tells how to go on with an installation that is kept.
func (d *demo) invite() {
	fmt.Printf(`
It stays up until ^C:
  console   %s/   (any name, and the token as the password)
  token     %s
  sample    %s
  server    %s
`, d.URL, d.path("data", "token"), d.path("hello"), d.path("up.log"))
}

// close stops everything and removes the folder.
func (d *demo) close() error {
	if d.receiver != nil {
		d.receiver.Close()
	}
	if d.Instance != nil {
		if err := d.Stop(); err != nil {
			return err
		}
	}
	return os.RemoveAll(d.dir)
}
