package buildkit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"github.com/registry-build/registry-build/builder"
)

const twoStages = "FROM scratch AS tools\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n" +
	"RUN echo %[1]s > /made\n" +
	"FROM tools AS unused\nRUN false\n" +
	"FROM scratch\nCOPY --from=tools /made /made\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"%[2]s\"]\n"

// told is what people read of a step, without times.
func told(steps []builder.Step) []string {
	var out []string
	for _, s := range steps {
		line := s.Name
		for word, is := range map[string]bool{" (cached)": s.Cached, " (failed)": s.Failed, " (not run)": s.Started.IsZero()} {
			if is {
				line += word
			}
		}
		if s.Ended != (!s.Started.IsZero()) {
			line += fmt.Sprintf(" (ended %t)", s.Ended)
		}
		out = append(out, line)
	}
	return out
}

func TestStepsOfABuild(t *testing.T) {
	s := newSolver(t)
	r := request(fmt.Sprintf(twoStages, "steps", "busybox sleep 0.3"), nil)
	r.Spec.NoCache = true
	solution, log := solve(t, s, r)
	want := []string{
		"[tools 1/2] COPY busybox /bin/busybox",
		"[tools 2/2] RUN echo steps > /made",
		"[stage-2 1/3] COPY --from=tools /made /made",
		"[stage-2 2/3] COPY busybox /bin/busybox",
		"[stage-2 3/3] RUN [\"/bin/busybox\", \"sh\", \"-c\", \"busybox sleep 0.3\"]",
	}
	if diff := cmp.Diff(want, told(solution.Steps)); diff != "" {
		t.Fatalf("steps (-want +got):\n%s\n%s", diff, log)
	}
	if took := solution.Steps[4].Took; took < 300*time.Millisecond || took > 10*time.Second {
		t.Errorf("the last step took %s", took)
	}

	r.Spec.NoCache = false
	again, _ := solve(t, s, r)
	for i := range want {
		want[i] += " (cached)"
	}
	if diff := cmp.Diff(want, told(again.Steps)); diff != "" {
		t.Errorf("steps of the second build (-want +got):\n%s", diff)
	}
}

func TestStepsOfAFailingBuild(t *testing.T) {
	r := request(shell+"RUN exit 7\nRUN echo never\n", nil)
	solution, err := newSolver(t).Solve(t.Context(), r, io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || f.Line != 4 {
		t.Fatalf("error %v", err)
	}
	got := told(solution.Steps)
	if len(got) > 0 {
		got[0] = strings.TrimSuffix(got[0], " (cached)") // by another test
	}
	want := []string{"[1/3] COPY busybox /bin/busybox", "[2/3] RUN exit 7 (failed)", "[3/3] RUN echo never (not run)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestProgressIsTold sees a step that runs, then the end.
func TestProgressIsTold(t *testing.T) {
	r := request(shell+"RUN busybox sleep 1.3\nRUN echo end\n", nil)
	r.Spec.NoCache = true
	var calls [][]builder.Step // by one goroutine at a time, and none after Solve: the race detector watches
	r.Progress = func(steps []builder.Step) { calls = append(calls, steps) }
	solution, _ := solve(t, newSolver(t), r)
	running := 0
	for _, steps := range calls[:len(calls)-1] {
		if len(steps) == 3 && !steps[1].Started.IsZero() && !steps[1].Ended && steps[2].Started.IsZero() {
			running++
		}
	}
	if running == 0 || len(calls) > 6 {
		t.Errorf("%d calls, %d of them with the second step running: %v", len(calls), running, calls)
	}
	if diff := cmp.Diff(solution.Steps, calls[len(calls)-1]); diff != "" {
		t.Errorf("the last call is not the end (-want +got):\n%s", diff)
	}
}

// TestProgressThatIsSlow must not hold up the build's log.
func TestProgressThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(nil)
		var at []time.Duration
		began := time.Now()
		last := s.tell(func([]builder.Step) {
			at = append(at, time.Since(began))
			time.Sleep(5 * time.Second) // synctest's clock
		})
		for i := range 100 { // ten a second
			s.update(vertex(fmt.Sprintf("[%d/100] RUN x", i+1), began, time.Time{}, ""))
			time.Sleep(100 * time.Millisecond) // synctest's clock
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the stream was held up: %s", took)
		}
		last(s.end(true))
		if diff := cmp.Diff([]time.Duration{0, 6 * time.Second, 11 * time.Second}, at); diff != "" {
			t.Errorf("told at (-want +got):\n%s", diff)
		}
	})
}

func vertex(name string, started, completed time.Time, failed string) *client.SolveStatus {
	v := &client.Vertex{Digest: digest.FromString(name), Name: name, Error: failed}
	if !started.IsZero() {
		v.Started = &started
	}
	if !completed.IsZero() {
		v.Completed = &completed
	}
	return &client.SolveStatus{Vertexes: []*client.Vertex{v}}
}

func TestStepsMergeVertices(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 1, 1, 12, 0, seconds, 0, time.UTC) }
	none := time.Time{}
	for _, c := range []struct {
		name   string
		stream []*client.SolveStatus
		worked bool
		want   []builder.Step
	}{
		{"internal work is no step", []*client.SolveStatus{
			vertex("[internal] load build context", at(0), at(1), ""),
			vertex("exporting to image", at(0), at(1), ""),
			vertex("[auth] acme/api:pull token for registry.example.com", at(0), at(1), ""),
			vertex("resolve image config for docker-image://x", at(0), at(1), ""),
		}, true, nil},
		{"two intervals, and a status that comes twice", []*client.SolveStatus{
			vertex("[ 1/10] RUN a", none, none, ""),
			vertex("[ 1/10] RUN a", at(0), none, ""),
			vertex("[ 1/10] RUN a", at(0), at(1), ""),
			vertex("[ 1/10] RUN a", at(0), at(1), ""),
			vertex("[ 1/10] RUN a", at(10), none, ""),
			vertex("[ 1/10] RUN a", at(10), at(12), ""),
		}, true, []builder.Step{{Name: "[1/10] RUN a", Started: at(0), Took: 3 * time.Second, Ended: true}}},
		{"running", []*client.SolveStatus{vertex("[1/1] RUN a", at(3), none, "")}, false,
			[]builder.Step{{Name: "[1/1] RUN a", Started: at(3)}}},
		{"cancelled beside a failure", []*client.SolveStatus{
			vertex("[1/2] RUN a", at(0), at(1), "exit code: 1"),
			vertex("[2/2] RUN b", at(0), at(1), "context canceled"),
		}, false, []builder.Step{
			{Name: "[1/2] RUN a", Started: at(0), Took: time.Second, Ended: true, Failed: true},
			{Name: "[2/2] RUN b", Started: at(0), Took: time.Second, Ended: true},
		}},
		{"not needed", []*client.SolveStatus{vertex("[1/1] FROM a", none, none, "")}, true, nil},
		{"the Dockerfile's order", []*client.SolveStatus{
			vertex("[stage-1 2/2] RUN d", at(0), at(0), ""), vertex("[linux/arm64 first 10/11] RUN b", at(0), at(0), ""),
			vertex("[stage-1 1/2] RUN c", at(0), at(0), ""), vertex("[linux/arm64 first 9/11] RUN a\tb\x1b[0m", at(0), at(0), ""),
		}, true, []builder.Step{
			{Name: "[linux/arm64 first 9/11] RUN a b", Started: at(0), Ended: true}, {Name: "[linux/arm64 first 10/11] RUN b", Started: at(0), Ended: true},
			{Name: "[stage-1 1/2] RUN c", Started: at(0), Ended: true}, {Name: "[stage-1 2/2] RUN d", Started: at(0), Ended: true},
		}},
		{"a long name", []*client.SolveStatus{vertex("[1/1] RUN "+strings.Repeat("ä", 300), at(0), at(0), "")}, true,
			[]builder.Step{{Name: "[1/1] RUN " + strings.Repeat("ä", 189) + "…", Started: at(0), Ended: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSteps([]byte("FROM a AS first\nFROM b\n"))
			for _, status := range c.stream {
				s.update(status)
			}
			if diff := cmp.Diff(c.want, s.end(c.worked)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// A push that is tried again finds everything cached: what the first try took
// is what people want to know.
func TestStepsOutliveATry(t *testing.T) {
	began := time.Now()
	s := newSteps(nil)
	s.begin()
	s.update(vertex("[1/2] RUN a", began, began.Add(time.Minute), ""))
	s.update(vertex("[2/2] RUN b", began, began.Add(time.Second), "no active session"))
	s.begin()
	cached := vertex("[1/2] RUN a", began.Add(2*time.Minute), began.Add(2*time.Minute), "")
	cached.Vertexes[0].Cached = true
	s.update(cached)
	s.update(vertex("[2/2] RUN b", began.Add(time.Hour), began.Add(time.Hour+time.Second), ""))
	want := []builder.Step{
		{Name: "[1/2] RUN a", Started: began, Took: time.Minute, Ended: true},
		{Name: "[2/2] RUN b", Started: began.Add(time.Hour), Took: time.Second, Ended: true},
	}
	if diff := cmp.Diff(want, s.end(true)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestStepsAreLimited(t *testing.T) {
	s := newSteps(nil)
	for i := range 1000 {
		failed := ""
		if i == 700 {
			failed = "exit code: 1"
		}
		s.update(vertex(fmt.Sprintf("[%d/1000] RUN x", i+1), time.Now(), time.Now(), failed))
	}
	steps := s.end(false)
	if len(steps) != 200 || steps[198].Name != "[199/1000] RUN x" || !steps[199].Failed {
		t.Errorf("%d steps, the last %+v", len(steps), steps[len(steps)-1])
	}
}
