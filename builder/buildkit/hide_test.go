package buildkit

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
)

// hidden masks "secret", wherever it is cut, and shows the rest at its end.
type hidden struct {
	to   io.Writer
	held []byte
}

func (h *hidden) Write(p []byte) (int, error) {
	h.held = bytes.ReplaceAll(append(h.held, p...), []byte("secret"), []byte("***"))
	keep := 0
	for n := range len("secret") {
		if bytes.HasSuffix(h.held, []byte("secret"[:n])) {
			keep = n
		}
	}
	_, err := h.to.Write(h.held[:len(h.held)-keep])
	h.held = h.held[len(h.held)-keep:]
	return len(p), err
}

func (h *hidden) Close() error {
	_, err := h.to.Write(h.held)
	return err
}

func hideSecrets(w io.Writer) io.WriteCloser { return &hidden{to: w} }

func TestSecretsInPiecesAreHidden(t *testing.T) {
	one, two := digest.FromString("one"), digest.FromString("two")
	log := func(v digest.Digest, stream int, text string) *client.VertexLog {
		return &client.VertexLog{Vertex: v, Stream: stream, Data: []byte(text)}
	}
	done := time.Now()
	statuses := []*client.SolveStatus{
		{Logs: []*client.VertexLog{log(one, 1, "a sec"), log(one, 2, "warning\n"), log(two, 1, "other\n")}},
		{Logs: []*client.VertexLog{log(one, 1, "ret b\n"), log(two, 1, "s"), log(one, 1, "sec")}},
		{Vertexes: []*client.Vertex{{Digest: one, Completed: &done}}},
		{Logs: []*client.VertexLog{log(two, 1, "ecre")}},
	}
	p := newProgress()
	p.veil = newVeil(hideSecrets)
	in := make(chan *client.SolveStatus)
	var shown strings.Builder
	followed := make(chan error, 1)
	go func() {
		followed <- p.follow(t.Context(), in, func(_ context.Context, statuses chan *client.SolveStatus) ([]client.VertexWarning, error) {
			for status := range statuses {
				for _, l := range status.Logs {
					shown.WriteString(l.Vertex.Encoded()[:1] + string(rune('0'+l.Stream)) + " " + strings.TrimSpace(string(l.Data)) + "\n")
				}
			}
			return nil, nil
		})
	}()
	for _, status := range statuses {
		in <- status
	}
	close(in)
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	a, b := one.Encoded()[:1], two.Encoded()[:1]
	want := a + "1 a\n" + a + "2 warning\n" + b + "1 other\n" + a + "1 *** b\n" + a + "1 sec\n" + b + "1 secre\n"
	if diff := cmp.Diff(want, shown.String()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if out := p.steps[one].output(); strings.Contains(out, "secret") || !strings.Contains(out, "***") {
		t.Errorf("output %q", out)
	}
}

// Two streams of one step, which the daemon sends as they come.
func TestHideInASolve(t *testing.T) {
	r := request(shell+`RUN for i in 1 2 3; do busybox echo -n "a sec"; busybox usleep 50000; busybox echo "e$i" >&2; busybox usleep 50000; busybox echo "ret z"; done; busybox echo -n "sec"`+"\n", nil)
	r.Hide = hideSecrets
	_, log := solve(t, newSolver(t), r)
	if strings.Count(log, "*** z") != 3 || strings.Count(log, " sec\n") != 1 {
		t.Errorf("log\n%s", log)
	}
}
