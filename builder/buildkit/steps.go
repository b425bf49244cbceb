package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	digest "github.com/opencontainers/go-digest"

	"github.com/registry-build/registry-build/builder"
)

const (
	maxSteps     = 200 // that are told
	stepWidth    = 200 // characters of a step's name
	stepInterval = time.Second
)

// steps follows what people call the steps of a build: the Dockerfile's
// instructions, of all the vertices that the daemon works on. What it does for
// itself (reading the Dockerfile, sending the context, exporting) is no step.
//
// It outlives the tries of one solve: a push that is tried again finds every
// step cached, and what the steps took the first time is what counts.
type steps struct {
	mu      sync.Mutex
	stages  map[string]int // name -> place in the Dockerfile
	records map[digest.Digest]*stepRecord
	seen    []*stepRecord // in order of appearance
	closed  bool
	changed chan struct{}
}

type stepRecord struct {
	builder.Step
	stage, number int
	last          time.Time // start of the newest interval
	kept          bool      // of a try before: this one has nothing to add
}

func newSteps(dockerfile []byte) *steps {
	return &steps{stages: stagesOf(dockerfile), records: map[digest.Digest]*stepRecord{}, changed: make(chan struct{}, 1)}
}

// stagesOf places a Dockerfile's stages, under the names that BuildKit gives
// them. A file that does not parse has no steps either.
func stagesOf(dockerfile []byte) map[string]int {
	places := map[string]int{}
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return places
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return places
	}
	for i, s := range stages {
		places["stage-"+strconv.Itoa(i)] = i
		if s.Name != "" {
			places[s.Name] = i
		}
	}
	return places
}

// stepName matches "[build 2/5] RUN make" and "[linux/amd64 2/5] RUN make".
var stepName = regexp.MustCompile(`^\[(?:(.*) )?\s*(\d+)/\d+\] \S`)

// isStep reads the place of a step out of its name.
func (s *steps) isStep(name string) (stage, number int, ok bool) {
	m := stepName.FindStringSubmatch(name)
	if m == nil {
		return 0, 0, false
	}
	words := strings.Fields(m[1])
	if len(words) > 0 {
		stage = s.stages[words[len(words)-1]]
	}
	number, err := strconv.Atoi(m[2])
	return stage, number, err == nil
}

// begin starts another try.
func (s *steps) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if r.kept = r.Ended && !r.Failed; !r.kept {
			r.Step, r.last = builder.Step{Name: r.Name}, time.Time{}
		}
	}
}

// update takes over what a status says, after progress has mended its times.
func (s *steps) update(status *client.SolveStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	changed := false
	for _, v := range status.Vertexes {
		r, ok := s.records[v.Digest]
		if !ok {
			r = &stepRecord{}
			if r.stage, r.number, ok = s.isStep(v.Name); !ok {
				continue
			}
			r.Name = shorten(strings.Replace(strings.Join(strings.Fields(plain(v.Name)), " "), "[ ", "[", 1), stepWidth)
			s.records[v.Digest], s.seen = r, append(s.seen, r)
			changed = true
		}
		before := r.Step
		r.update(v)
		changed = changed || r.Step != before
	}
	if changed {
		notify(s.changed)
	}
}

// update merges a vertex. One step may come in several intervals, when its
// cache is looked up and when it runs; what lies between is not its time.
func (r *stepRecord) update(v *client.Vertex) {
	if r.kept || v.Started == nil || v.Started.Before(r.last) {
		return
	}
	r.Cached = r.Cached || v.Cached
	if v.Error != "" {
		r.Failed = !strings.HasSuffix(v.Error, context.Canceled.Error())
	}
	fresh := v.Started.After(r.last)
	if fresh {
		r.last = *v.Started
		if r.Started.IsZero() {
			r.Started = *v.Started
		}
		r.Ended = false
	}
	if v.Completed != nil && !r.Ended {
		r.Took += v.Completed.Sub(*v.Started)
		r.Ended = true
	}
}

// list is the steps in the Dockerfile's order.
func (s *steps) list() []builder.Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted(func(*stepRecord) bool { return true })
}

func (s *steps) sorted(keep func(*stepRecord) bool) []builder.Step {
	sorted := slices.Clone(s.seen)
	slices.SortStableFunc(sorted, func(a, b *stepRecord) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.number, b.number))
	})
	var out []builder.Step
	for _, r := range sorted {
		switch {
		case !keep(r):
		case len(out) < maxSteps:
			out = append(out, r.Step)
		case r.Failed: // the one that everybody looks for
			out[maxSteps-1] = r.Step
		}
	}
	return out
}

// end returns the steps as they stay. Of a build that worked those are left
// out that turned out not to be needed.
func (s *steps) end(worked bool) []builder.Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.sorted(func(r *stepRecord) bool { return r.Ended || !worked })
}

// tell calls f with the steps when they have changed, at most once in a
// stepInterval, until last is called; that calls f once more and returns when
// f has. f may be nil.
func (s *steps) tell(f func([]builder.Step)) (last func([]builder.Step)) {
	if f == nil {
		return func([]builder.Step) {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-s.changed:
				f(s.list())
			}
			select {
			case <-stop:
				return
			case <-time.After(stepInterval):
			}
		}
	}()
	return func(steps []builder.Step) {
		close(stop)
		<-stopped
		f(steps)
	}
}
