package buildkit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
)

// TestProgressClamps mends a step that another build began an hour ago.
func TestProgressClamps(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	before, after := start.Add(-time.Hour), start.Add(time.Second)
	p := newProgress()
	p.update(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "a", Name: "[internal] load build definition from Dockerfile", Started: &start}}})
	running := &client.Vertex{Digest: "b", Started: &before}
	done := &client.Vertex{Digest: "c", Started: &before, Completed: &before}
	own := &client.Vertex{Digest: "d", Started: &after}
	log := &client.VertexLog{Vertex: "b", Timestamp: before}
	p.update(&client.SolveStatus{Vertexes: []*client.Vertex{running, done, own, {Digest: "e"}}, Logs: []*client.VertexLog{log}})
	if diff := cmp.Diff([]time.Time{start, start, start, after, start},
		[]time.Time{*running.Started, *done.Started, *done.Completed, *own.Started, log.Timestamp}); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

func TestNotesAreLimited(t *testing.T) {
	p := newProgress()
	for i := range 50_000 {
		p.warnings = append(p.warnings, &client.VertexWarning{Short: []byte(strconv.Itoa(i) + strings.Repeat("w", 5000))})
	}
	notes := p.notes()
	if len(notes) != 101 || notes[100].Message != "there are more warnings; the build's log has them" || len(notes[0].Message) > 1100 {
		t.Errorf("%d notes, the first with %d bytes, the last %q", len(notes), len(notes[0].Message), notes[len(notes)-1].Message)
	}
}

func TestStepBreaksEndlessLines(t *testing.T) {
	var s step
	var out strings.Builder
	for range 100 {
		out.Write(s.log([]byte(strings.Repeat("x", 10_000))))
	}
	out.Write(s.log([]byte("\nend\n")))
	longest, total := 0, 0
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		longest = max(longest, len(line))
		total += strings.Count(line, "x")
	}
	if longest != lineWidth || total != 1_000_000 {
		t.Errorf("longest line %d, %d bytes in all", longest, total)
	}
	if !strings.HasSuffix(s.output(), "\nend") || len(s.output()) > tailLines*(tailWidth+1) {
		t.Errorf("output has %d bytes", len(s.output()))
	}
}

func TestStepOutput(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []string
		want   string
	}{
		{"parts of a line", []string{"ab", "c\nd", "ef"}, "abc\ndef"},
		{"newline alone", []string{"a", "\n", "\n", "b"}, "a\n\nb"},
		{"colours", []string{"\x1b[1;31mred\x1b[0m\n"}, "red"},
		{"a bar", []string{"10%\r", "20%\rdone\r\n"}, "done"},
		{"not text", []string{"a\x00\xff\x07b\n"}, "a�b"},
		{"nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s step
			for _, chunk := range c.chunks {
				s.log([]byte(chunk))
			}
			if diff := cmp.Diff(c.want, s.output()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFollowDrainsForADisplayThatGaveUp would hang otherwise.
func TestFollowDrainsForADisplayThatGaveUp(t *testing.T) {
	statuses := make(chan *client.SolveStatus)
	followed := make(chan error, 1)
	gaveUp := errors.New("no terminal")
	go func() {
		followed <- newProgress().follow(t.Context(), statuses, func(context.Context, chan *client.SolveStatus) ([]client.VertexWarning, error) {
			return nil, gaveUp
		})
	}()
	for range 100 {
		statuses <- &client.SolveStatus{}
	}
	close(statuses)
	if err := <-followed; !errors.Is(err, gaveUp) {
		t.Errorf("error %v", err)
	}
}
