package plaingit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// building lets every event build the named images.
func building(images ...string) func(builder.Event) builder.Decision {
	return func(e builder.Event) builder.Decision {
		d := builder.Decision{EventID: e.ID}
		for _, image := range images {
			d.Builds = append(d.Builds, builder.Build{
				ID: "B" + strings.ToUpper(image), EventID: e.ID, Image: image, Ref: e.Ref, Commit: e.Commit,
				Destination: "acme/hello/" + image,
			})
		}
		return d
	}
}

// pushing starts a push and returns what its pusher sees.
func pushing(t *testing.T, w *work, remote string, args ...string) (seen *lockedBuffer, ended chan error) {
	t.Helper()
	seen = newLockedBuffer()
	cmd := w.command(t.Context(), append([]string{"push", remote}, args...)...)
	cmd.Stdout, cmd.Stderr = seen, seen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return seen, ended
}

func sees(t *testing.T, seen *lockedBuffer, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the push's output", want), func() bool {
		return strings.Contains(seen.String(), want)
	})
}

func endsWell(t *testing.T, seen *lockedBuffer, ended chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("push: %v\n%s", err, seen)
		}
	case <-time.After(limit):
		t.Fatalf("the push does not end:\n%s", seen)
	}
}

// TestLive holds the second log line back until the pusher has seen the first.
func TestLive(t *testing.T) {
	s := start(t)
	s.store.decide = building("api")
	w := newWork(t)
	w.commit("a", "1")
	seen, ended := pushing(t, w, s.remote("writer", "acme/hello"), "main")
	sees(t, seen, "remote: registry-build: api queued, number 1 in the queue: "+s.url+"/builds/BAPI")
	s.store.log("BAPI", "#1 FROM scratch\n#2 half a li")
	sees(t, seen, "remote: #1 FROM scratch")
	if strings.Contains(seen.String(), "half") {
		t.Error("a line was shown before it had ended")
	}
	s.store.log("BAPI", "ne\n", "\x1b[31mred\x1b[0m\tand \a\u202eevil\n", "10%\r50%\r100%\r\n", strings.Repeat("x", 100_000)+"\n", "no end")
	sees(t, seen, "remote: #2 half a line")
	sees(t, seen, "remote: red\tand evil")
	now := time.Now()
	s.store.change(func() {
		r := s.store.builds["BAPI"]
		r.State, r.StartedAt, r.FinishedAt = builder.Succeeded, now.Add(-1234*time.Millisecond), now
		r.Digest = "sha256:abc"
		r.Tagged = []builder.TagOutcome{{Tag: "v1", Moved: true}, {Tag: "latest", HeldBy: "0123456789abcdef"}}
		s.store.builds["BAPI"] = r
	})
	endsWell(t, seen, ended)
	for _, want := range []string{
		"remote: 100%", "remote: no end",
		"remote: registry-build: api: pushed v1 in 1.2 s; latest left on 012345",
	} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("%q was not shown", want)
		}
	}
	if strings.ContainsAny(seen.String(), "\a\u202e") {
		t.Error("control characters reached the pusher")
	}
	for line := range strings.Lines(seen.String()) {
		if len(line) > 5000 {
			t.Errorf("a line of %d bytes reached the pusher", len(line))
		}
	}
}

func TestSeveralBuilds(t *testing.T) {
	s := start(t)
	s.store.decide = building("api", "web")
	w := newWork(t)
	w.commit("a", "1")
	seen, ended := pushing(t, w, s.remote("writer", "acme/hello"), "main")
	s.store.log("BAPI", "one\n")
	s.store.log("BWEB", "two\n")
	sees(t, seen, "remote: api | one")
	sees(t, seen, "remote: web | two")
	s.store.finish("BWEB", builder.Promoted, builder.Result{From: "BOLD", Digest: "sha256:d"})
	sees(t, seen, "remote: web | registry-build: web: unchanged: same input as build BOLD")
	s.store.finish("BAPI", builder.Failed, builder.Result{Failure: &builder.Failure{
		Stage: builder.StageBuild, Message: "RUN fale: exit code 127", File: "Dockerfile", Line: 2,
		Excerpt: "   1 | FROM scratch\n   2 | >>> RUN fale", Output: "sh: fale: not found\n",
	}})
	endsWell(t, seen, ended)
	for _, want := range []string{
		"remote: api | registry-build: api: failed: Dockerfile:2 RUN fale: exit code 127", "remote: api | registry-build: " + s.url + "/builds/BAPI",
	} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("%q was not shown:\n%s", want, seen)
		}
	}
}

func TestDecisionsAreTold(t *testing.T) {
	s := start(t)
	s.store.decide = func(e builder.Event) builder.Decision {
		return builder.Decision{
			EventID: e.ID,
			Invalid: []config.Diagnostic{{File: ".registry-build.yml", Line: 12, Col: 5, Message: `unknown key "imge"`}},
			Failure: &builder.Failure{Stage: builder.StageSource, Message: "the commit has submodules"},
			Reasons: []builder.Reason{
				{Image: "api", Rule: "branch: main", Line: 7, Message: "the branch is dev"},
				{Image: "web", Message: "automatic is false"},
			},
		}
	}
	w := newWork(t)
	w.commit("a", "1")
	out := w.git("push", s.remote("writer", "acme/hello"), "main:dev")
	for _, want := range []string{
		`remote: registry-build: dev: .registry-build.yml:12:5: unknown key "imge"`,
		"remote: registry-build: dev: the commit has submodules",
		`remote: registry-build: dev: api is not built by "branch: main" (line 7): the branch is dev`,
		"remote: registry-build: dev: web is not built: automatic is false",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q was not shown:\n%s", want, out)
		}
	}
}

func TestDetach(t *testing.T) {
	s := start(t)
	s.store.decide = building("api")
	w := newWork(t)
	w.commit("a", "1")
	out := w.git("push", "-o", "registry-build.detach", "-o", "registry-build.detatch", s.remote("writer", "acme/hello"), "main")
	for _, want := range []string{"api queued", `unknown push option "registry-build.detatch"; there is registry-build.detach`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q was not shown:\n%s", want, out)
		}
	}
}

// TestLogInterrupted: Redis goes away while a log is followed.
func TestLogInterrupted(t *testing.T) {
	s := start(t)
	s.store.decide = building("api")
	w := newWork(t)
	w.commit("a", "1")
	s.store.fail(fmt.Errorf("read: %w", builder.ErrUnavailable), "ReadLog")
	seen, ended := pushing(t, w, s.remote("writer", "acme/hello"), "main")
	sees(t, seen, "api queued")
	s.store.log("BAPI", "one\n", "two\n")
	s.store.fail(nil, "ReadLog")
	sees(t, seen, "remote: two")
	if n := strings.Count(seen.String(), "remote: one"); n != 1 {
		t.Errorf("the first line was shown %d times", n)
	}
	s.store.finish("BAPI", builder.Superseded, builder.Result{Reason: "by 1234"})
	endsWell(t, seen, ended)
	if !strings.Contains(seen.String(), "api: superseded: by 1234") {
		t.Errorf("the outcome was not shown:\n%s", seen)
	}
}

// TestServerStops: who follows a build is let go.
func TestServerStops(t *testing.T) {
	s := start(t)
	s.store.decide = building("api")
	w := newWork(t)
	w.commit("a", "1")
	seen, ended := pushing(t, w, s.remote("writer", "acme/hello"), "main")
	sees(t, seen, "api queued")
	s.Detach()
	endsWell(t, seen, ended)
	if !strings.Contains(seen.String(), "the server is stopping; the build goes on when it is back") {
		t.Errorf("the pusher was not told:\n%s", seen)
	}
	w.commit("a", "2")
	w.refuse("the server is stopping; nothing was pushed", "push", s.remote("writer", "acme/hello"), "main")
	s.stop()
	w.refuse("the server does not answer", "push", s.remote("writer", "acme/hello"), "main")
}
