package app

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// screen is what stands on a terminal so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// typist sits at a terminal in which `credentials set` runs.
type typist struct {
	t             *testing.T
	keyboard      console.Console
	terminal      *os.File
	shown, echoed screen
	status        chan int
}

func sitDown(t *testing.T, data string, args ...string) *typist {
	t.Helper()
	keyboard, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &typist{t: t, keyboard: keyboard, terminal: terminal, status: make(chan int, 1)}
	t.Cleanup(func() { terminal.Close(); keyboard.Close() })
	go io.Copy(&p.echoed, keyboard)
	go func() {
		p.status <- Main(append([]string{"registry-build", "credentials", "set", "--data", data}, args...), terminal, &p.shown, &p.shown)
	}()
	return p
}

// types waits for the question, and for the terminal to hide what is typed
// where that is a secret.
func (p *typist) types(question, answer string, hidden bool) {
	p.t.Helper()
	err := poll(10*time.Second, func() bool {
		state, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
		return err == nil && strings.HasSuffix(p.shown.String(), question) && (state.Lflag&unix.ECHO == 0) == hidden
	})
	if err != nil {
		p.t.Fatalf("%q was not asked: %v\n%s", question, err, p.shown.String())
	}
	if _, err := io.WriteString(p.keyboard, answer+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *typist) ends(status int, said string) {
	p.t.Helper()
	if got := <-p.status; got != status || !strings.Contains(p.shown.String(), said) {
		p.t.Errorf("status %d, want %d and %q:\n%s", got, status, said, p.shown.String())
	}
}

func kept(t *testing.T, data, name string) builder.Credential {
	t.Helper()
	store, err := credential.Open(filepath.Join(data, "credentials"), filepath.Join(data, "credentials", "key.txt"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCredentialsAsksAtATerminal(t *testing.T) {
	data := t.TempDir()
	p := sitDown(t, data, "harbor", "--kind", "registry-login")
	p.types("registry: ", "registry.example.com", false)
	p.types("username: ", "ada", false)
	p.types("password (not shown): ", "s3cret-horse", true)
	p.ends(0, "harbor (registry-login) is kept")
	if _, err := io.WriteString(p.keyboard, "the end\n"); err != nil {
		t.Fatal(err)
	}
	if err := poll(10*time.Second, func() bool { return strings.Contains(p.echoed.String(), "the end") }); err != nil {
		t.Fatal(err)
	}
	if shown := p.shown.String() + p.echoed.String(); strings.Contains(shown, "horse") || !strings.Contains(shown, "ada") {
		t.Errorf("on the screen:\n%s", shown)
	}
	want := map[string]string{"registry": "registry.example.com", "username": "ada", "password": "s3cret-horse"}
	if diff := cmp.Diff(want, kept(t, data, "harbor").Fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// What is asked next depends on the first answer.
	p = sitDown(t, data, "mail", "--kind", "chat-robot")
	p.types("service (slack, dingtalk, wecom, feishu, email): ", "email", false)
	p.types("server: ", "smtp.example.com:25", false)
	p.types("from: ", "b@example.com", false)
	p.types("username (empty: none): ", "", false)
	p.types("password (not shown; empty: none): ", "", true)
	p.ends(0, "mail (chat-robot) is kept")
	want = map[string]string{"service": "email", "server": "smtp.example.com:25", "from": "b@example.com"}
	if diff := cmp.Diff(want, kept(t, data, "mail").Fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	p = sitDown(t, data, "npm")
	p.types("value (not shown): ", "short", true)
	p.ends(1, "the value has 5 bytes, a token needs at least 8")
	p = sitDown(t, data, "npm", "--kind", "password")
	p.types("username: ", "\x04", false) // ^D
	p.ends(1, "the input ended")
	p = sitDown(t, data, "key", "--kind", "ssh-key")
	p.ends(1, "give it with --file FILE")
}

// Nobody types a value in vain.
func TestCredentialsRefusesBeforeItAsks(t *testing.T) {
	data := t.TempDir()
	sitDown(t, data, "../x").ends(1, "cannot be a credential")
	sitDown(t, data, "x", "--kind", "tokn").ends(1, `kind "tokn" is unknown; did you mean "token"?`)
}

func TestCredentialsListAndRemove(t *testing.T) {
	data := t.TempDir()
	run := func(in string, args ...string) (out, err string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if Main(append([]string{"registry-build", "credentials"}, append(args, "--data", data)...), strings.NewReader(in), &stdout, &stderr) != 0 {
			t.Fatalf("%v: %s", args, stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	for _, name := range []string{"npm", "old"} {
		run("a token of somebody's", "set", name)
	}
	store, err := credential.Open(filepath.Join(data, "credentials"), filepath.Join(data, "credentials", "key.txt"))
	if err != nil {
		t.Fatal(err)
	}
	store.Used("npm", "build of acme/shop")
	store.Used("npm", "trigger prod of acme/shop")
	out, _ := run("", "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "trigger prod of acme/shop (and 1 more)") || !strings.HasSuffix(strings.TrimSpace(lines[2]), "never") {
		t.Errorf("list:\n%s", out)
	}
	out, _ = run("", "list", "--json")
	var list []credential.Info
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || len(list[0].Uses) != 2 || list[1].Uses == nil || len(list[1].Uses) != 0 {
		t.Errorf("list --json: %v\n%s", err, out)
	}
	if _, said := run("", "rm", "npm"); !strings.Contains(said, "warning: it was in use: last on ") || !strings.Contains(said, "trigger prod of acme/shop; whatever names it fails") {
		t.Errorf("rm of one in use says %q", said)
	}
	if _, said := run("", "rm", "old"); said != "" {
		t.Errorf("rm of one that nobody used says %q", said)
	}
}
