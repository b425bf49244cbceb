package gitops

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

const manifests = "# ours\nimage: old:1 # here\n"

func TestCommit(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": manifests, "README.md": "hello\n", "apps/other/x.yaml": "a: 1\n"})
	before := r.head("acme/deploy", "main")
	k := r.kind()
	a := mustFire(t, k, firing(1, deploy("image")))
	head := r.head("acme/deploy", "main")
	if want := r.server.URL + "/acme/deploy/commit/" + head; a.URL != want {
		t.Errorf("URL %q, want %q", a.URL, want)
	}
	if want := "apps/deploy.yaml:2: old:1 → " + ref(1) + " (commit " + head[:7] + " on main of test:acme/deploy)"; a.Text != want {
		t.Errorf("text %q, want %q", a.Text, want)
	}
	if got, want := r.file("acme/deploy", "main", "apps/deploy.yaml"), "# ours\nimage: "+ref(1)+" # here"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	dir := filepath.Join(r.dir, "acme/deploy.git")
	if got := r.git("", "-C", dir, "diff-tree", "-r", "--name-status", before, head); got != "M\tapps/deploy.yaml" {
		t.Errorf("the commit changes %q", got)
	}
	message := r.git("", "-C", dir, "log", "-1", "--format=%an <%ae>%n%P%n%B", head)
	for _, want := range []string{"registry-build <registry-build@noreply.invalid>\n" + before, "\nacme/shop: v1.0.1\n\n",
		"Image: " + ref(1) + "\n", "Build: https://builds.example.com/builds/06BUILD000000001\n", "Source: acme/shop@0000000 by ada\n", trailer} {
		if !strings.Contains(message, want) {
			t.Errorf("message lacks %q:\n%s", want, message)
		}
	}
	if got := r.git("", "-C", dir, "fsck", "--strict"); strings.Contains(got, "error") {
		t.Error(got)
	}

	// Again, as after an answer that was lost.
	a = mustFire(t, k, firing(1, deploy("image")))
	if !strings.Contains(a.Text, "names "+digest(1)+" already") || r.head("acme/deploy", "main") != head {
		t.Errorf("again: %q", a.Text)
	}
}

// An older build that is late writes nothing; it is found in the branch, by
// whoever looks.
func TestOlderBuildIsSkipped(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": "a: x\nb: x\n"})
	mustFire(t, r.kind(), firing(5, deploy("a")))
	r.push("acme/deploy", "main", map[string]string{"README.md": "by hand\n"})
	a := mustFire(t, r.kind(), firing(4, deploy("a")))
	if !a.Skipped || !strings.Contains(a.Text, "build 06BUILD000000005") {
		t.Errorf("an older build: %+v", a)
	}
	if a := mustFire(t, r.kind(), firing(3, deploy("b"))); a.Skipped {
		t.Errorf("an older build, another field: %+v", a)
	}
	if a := mustFire(t, r.kind(), firing(6, deploy("a"))); a.Skipped {
		t.Errorf("a newer build: %+v", a)
	}
	if got, want := r.file("acme/deploy", "main", "apps/deploy.yaml"), "a: "+ref(6)+"\nb: "+ref(3); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

// 20 firings of two processes at once: each lands, few commits, nothing lost.
func TestConcurrentFirings(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	const n = 20
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "svc%d: {image: 'old'} # %d\n", i, i)
	}
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": file.String(), "mine.txt": "0"})
	kinds := []*Kind{r.kind(), r.kind()}
	// A person pushes in between, as the first push of ours arrives.
	var once sync.Once
	r.meddle(func(req *http.Request) int {
		if strings.HasSuffix(req.URL.Path, "/git-receive-pack") {
			once.Do(func() { r.push("acme/deploy", "main", map[string]string{"mine.txt": "1"}) })
		}
		return 0
	})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			f := firing(i+1, deploy(fmt.Sprintf("svc%d.image", i)))
			for { // as the outbox would
				a, err := kinds[i%2].Fire(t.Context(), f)
				if _, again := trigger.IsTemporary(err); again {
					continue
				}
				if err != nil || a.Skipped {
					t.Errorf("firing %d: %+v, %v", i, a, err)
				}
				return
			}
		})
	}
	wg.Wait()
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "svc%d: {image: '%s'} # %d\n", i, ref(i+1), i)
	}
	if got := r.file("acme/deploy", "main", "apps/deploy.yaml") + "\n"; got != want.String() {
		t.Errorf("file:\n%s", got)
	}
	if got := r.file("acme/deploy", "main", "mine.txt"); got != "1" {
		t.Errorf("the person's push is lost: %q", got)
	}
	if c := r.count("acme/deploy", "main"); c > 12 {
		t.Errorf("%d commits for %d firings and 2 pushes", c, n)
	}
}

// Of one batch on one field the last accepted build wins, and one that cannot
// be written takes nothing from the others.
func TestBatch(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": "a: x\nb: x\n"})
	k := r.kind()
	hold, held := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	r.meddle(func(req *http.Request) int {
		if first.CompareAndSwap(false, true) {
			close(held)
			<-hold
		}
		return 0
	})
	type result struct {
		a   trigger.Answer
		err error
	}
	fire := func(f trigger.Firing) chan result {
		c := make(chan result, 1)
		go func() { a, err := k.Fire(t.Context(), f); c <- result{a, err} }()
		return c
	}
	lead := fire(firing(1, deploy("b")))
	<-held
	var rest []chan result
	for i, f := range []trigger.Firing{firing(9, deploy("a")), firing(7, deploy("a")), firing(8, deploy("c"))} {
		rest = append(rest, fire(f))
		await(t, func() bool { return k.waiting() == i+1 })
	}
	close(hold)
	if out := <-lead; out.err != nil {
		t.Error(out.err)
	}
	if out := <-rest[0]; out.err != nil || out.a.Skipped {
		t.Errorf("the newest: %+v", out)
	}
	if out := <-rest[1]; out.err != nil || !out.a.Skipped {
		t.Errorf("the older: %+v", out)
	}
	if out := <-rest[2]; out.err == nil || !strings.Contains(out.err.Error(), "main of test:acme/deploy: apps/deploy.yaml:1: there is no c in") {
		t.Errorf("the wrong one: %+v", out)
	}
	if got, want := r.file("acme/deploy", "main", "apps/deploy.yaml"), "a: "+ref(9)+"\nb: "+ref(1); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	if c := r.count("acme/deploy", "main"); c != 3 {
		t.Errorf("%d commits, want 3", c)
	}
}

func (k *Kind) waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, q := range k.queues {
		n += len(q.waiting)
	}
	return n
}

// What is final is one sentence; what may pass is temporary; neither shows the
// password.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": manifests})
	r.repository("other/deploy", map[string]string{"apps/deploy.yaml": manifests})
	hook := filepath.Join(r.dir, "acme/deploy.git", "hooks", "pre-receive")
	with := func(change func(*config.GitOps)) trigger.Firing {
		g := deploy("image")
		change(&g)
		return firing(1, g)
	}
	url := r.url("acme/deploy")
	tests := map[string]struct {
		f         trigger.Firing
		hook      string
		answer    int // of the server, to all
		want      string
		temporary bool
	}{
		"no such file":       {f: with(func(g *config.GitOps) { g.File = "x.yaml" }), want: "main of test:acme/deploy: x.yaml is not there"},
		"a folder":           {f: with(func(g *config.GitOps) { g.File = "apps" }), want: "apps is a folder"},
		"out of the tree":    {f: with(func(g *config.GitOps) { g.File = "../x" }), want: "is no file of a repository"},
		"git's own":          {f: with(func(g *config.GitOps) { g.File = ".Git/config" }), want: "is no file of a repository"},
		"no such branch":     {f: with(func(g *config.GitOps) { g.Branch = "prod" }), want: "there is no branch prod in test:acme/deploy"},
		"an option":          {f: with(func(g *config.GitOps) { g.Branch = "--all" }), want: "cannot be a branch"},
		"no such repository": {f: with(func(g *config.GitOps) { g.Repository = "acme/none" }), want: "there is no repository test:acme/none, or we are not let in"},
		"not allowed":        {f: with(func(g *config.GitOps) { g.Repository = "other/deploy" }), want: `acme/shop may not write to test:other/deploy; the operator allows it in the server file: policy: [{repositories: ["acme/shop"], manifests: ["test:other/deploy"]}]`},
		"another forge":      {f: with(func(g *config.GitOps) { g.Repository = "gitlab:acme/deploy" }), want: `no forge "gitlab" is configured`},
		"no credential":      {f: with(func(g *config.GitOps) { g.Repository = url }), want: "takes a credential of kind token or password"},
		"unknown credential": {f: with(func(g *config.GitOps) { g.Repository, g.Credential = url, "nix" }), want: `there is no credential "nix"`},
		"wrong kind":         {f: with(func(g *config.GitOps) { g.Repository, g.Credential = url, "ssh" }), want: "credential ssh is a ssh-key; git takes a token or a password"},
		"wrong password":     {f: with(func(g *config.GitOps) { g.Repository, g.Credential = url, "wrong" }), want: "does not know us: it asks for another login; look at credential wrong"},
		"dots in an address": {f: with(func(g *config.GitOps) {
			g.Repository, g.Credential = r.server.URL+"/acme/../other/deploy.git", "token"
		}), want: "is no plain address"},
		"escapes in an address": {f: with(func(g *config.GitOps) {
			g.Repository, g.Credential = r.server.URL+"/acme/%2e%2e/other/deploy.git", "token"
		}), want: "is no plain address"},
		"a password in an address": {f: with(func(g *config.GitOps) {
			g.Repository, g.Credential = "https://ada:hunter2@example.com/x.git", "token"
		}), want: "has a user or password in it"},
		"another protocol": {f: with(func(g *config.GitOps) { g.Repository, g.Credential = "ext::sh -c true", "token" }), want: "is no repository"},
		"no pull requests": {f: with(func(g *config.GitOps) { g.Repository, g.Credential, g.PullRequest = url, "token", true }), want: "has no pull requests that we can open"},
		"protected":        {f: firing(1, deploy("image")), hook: "#!/bin/sh\necho 'main is protected' >&2\nexit 1\n", want: "does not take the push: main is protected"},
		"for now":          {f: firing(1, deploy("image")), hook: "#!/bin/sh\necho 'busy, try again' >&2\nexit 1\n", want: "busy, try again", temporary: true},
		"server away":      {f: firing(1, deploy("image")), answer: 503, want: "cannot be updated", temporary: true},
		"moved":            {f: firing(1, deploy("image")), answer: 301, want: "is somewhere else now"},
		"forbidden":        {f: firing(1, deploy("image")), answer: 403, want: "we may not write to test:acme/deploy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r.meddle(func(*http.Request) int { return tt.answer })
			if tt.hook != "" {
				if err := os.WriteFile(hook, []byte(tt.hook), 0o755); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(hook)
			}
			_, err := r.kind().Fire(t.Context(), tt.f)
			_, again := trigger.IsTemporary(err)
			if err == nil || !strings.Contains(err.Error(), tt.want) || again != tt.temporary || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v (temporary %t), want %q (%t)", err, again, tt.want, tt.temporary)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("the password shows in %v", err)
			}
		})
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	for _, name := range []string{"acme/deploy", "acme/shop", "other/deploy"} {
		r.repository(name, map[string]string{"apps/deploy.yaml": manifests})
	}
	k := r.kind()
	tests := map[string]func(f *trigger.Firing){
		"policy":           func(f *trigger.Firing) {},
		"itself, any case": func(f *trigger.Firing) { f.Trigger.GitOps.Repository = "test:ACME/shop"; f.Record.Names = nil },
		"operator":         func(f *trigger.Firing) { f.Trigger.GitOps.Repository, f.Trigger.Operator = "other/deploy", true },
		"address and token": func(f *trigger.Firing) {
			f.Trigger.GitOps.Repository, f.Trigger.GitOps.Credential = r.url("acme/deploy"), "token"
		},
		"address and login": func(f *trigger.Firing) {
			f.Trigger.GitOps.Repository, f.Trigger.GitOps.Credential = r.url("acme/shop"), "password"
		},
		"a branch by its name": func(f *trigger.Firing) { f.Trigger.GitOps.Branch = "main" },
	}
	n := 0
	for name, change := range tests {
		n++
		t.Run(name, func(t *testing.T) {
			f := firing(n, deploy("image"))
			f.Record.Seq, f.Record.AcceptedAt = int64(n), start.AddDate(0, 0, n)
			change(&f)
			if _, err := k.Fire(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	fork := firing(99, deploy("image"))
	fork.Record.Lane, fork.Trigger.Operator = builder.ForkLane, true
	if _, err := k.Fire(t.Context(), fork); err == nil {
		t.Error("a build of a fork has written")
	}
}

// A Fire whose time is up ends; the update goes on for those who wait.
func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": "a: x\nb: x\n"})
	k := r.kind()
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	r.meddle(func(*http.Request) int { held <- struct{}{}; <-hold; return 0 })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := k.Fire(ctx, firing(1, deploy("a"))); ended <- err }()
	<-held
	cancel()
	if _, again := trigger.IsTemporary(<-ended); !again {
		t.Error("want a temporary error")
	}
	await(t, func() bool { k.mu.Lock(); defer k.mu.Unlock(); return len(k.queues) == 0 })
	close(hold)
	if _, err := k.Fire(ctx, firing(1, deploy("a"))); err == nil {
		t.Error("no error with a context that has ended")
	}
	mustFire(t, k, firing(2, deploy("b")))
}

// Neither the arguments of any process, nor the clone, hold the password.
func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": manifests})
	dir := t.TempDir()
	k := r.kind(func(o *Options) { o.Dir = dir })
	var looks atomic.Int64
	r.meddle(func(*http.Request) int { // git is at work now
		list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range list {
			text, _ := os.ReadFile(name)
			if strings.Contains(string(text), password) || strings.Contains(string(text), "git") && strings.Contains(string(text), "Authorization") {
				t.Errorf("arguments of a process: %q", text)
			}
			if strings.Contains(string(text), "remote-https") {
				looks.Add(1)
			}
		}
		return 0
	})
	for n, credential := range []string{"token", "password"} {
		g := deploy("image")
		g.Repository, g.Credential = r.url("acme/deploy"), credential
		mustFire(t, k, firing(n+1, g))
	}
	if looks.Load() == 0 {
		t.Error("no git was seen at work")
	}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		for _, secret := range []string{password, "Authorization"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Servers without filters, and repositories whose objects have other names.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ filter, format string }{
		"no filters": {"false", "sha1"},
		"sha256":     {"true", "sha256"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t)
			r.filter, r.format = tt.filter, tt.format
			r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": manifests, "x/y/z.txt": "1"})
			k := r.kind()
			mustFire(t, k, firing(1, deploy("image")))
			r.push("acme/deploy", "main", map[string]string{"x/y/z.txt": "2"})
			mustFire(t, k, firing(2, deploy("image")))
			if got := r.file("acme/deploy", "main", "apps/deploy.yaml"); !strings.Contains(got, ref(2)) {
				t.Errorf("file %q", got)
			}
			if got := r.file("acme/deploy", "main", "x/y/z.txt"); got != "2" {
				t.Errorf("another's file %q", got)
			}
		})
	}
}

// A clone that is broken is made anew by the next attempt, and one that was
// left locked by a git that was killed goes on.
func TestBrokenClone(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	r.repository("acme/deploy", map[string]string{"apps/deploy.yaml": manifests})
	dir := t.TempDir()
	k := r.kind(func(o *Options) { o.Dir = dir })
	mustFire(t, k, firing(1, deploy("image")))
	clones, err := filepath.Glob(filepath.Join(dir, "*.git"))
	if err != nil || len(clones) != 1 {
		t.Fatal(clones, err)
	}
	if err := os.WriteFile(filepath.Join(clones[0], "shallow.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.push("acme/deploy", "main", map[string]string{"x": "1"})
	mustFire(t, k, firing(2, deploy("image")))
	if err := os.RemoveAll(filepath.Join(clones[0], "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	for attempt := range 3 {
		_, err := k.Fire(t.Context(), firing(3, deploy("image")))
		if err == nil {
			break
		}
		if _, again := trigger.IsTemporary(err); !again || attempt == 2 {
			t.Fatal(err)
		}
	}
	if got := r.file("acme/deploy", "main", "apps/deploy.yaml"); !strings.Contains(got, ref(3)) {
		t.Errorf("file %q", got)
	}
}
