package buildkit

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"

	"github.com/registry-build/registry-build/builder"
)

const (
	tailLines = 20       // of a step's output are kept for a failure
	tailWidth = 2 << 10  // bytes of such a line
	lineWidth = 64 << 10 // bytes without a newline before one is put in
)

// progress follows the status stream of one try: it keeps what a failure or a
// note needs, mends the stream, and hands it on to a display.
type progress struct {
	start    time.Time // of the solve, by the daemon's clock
	steps    map[digest.Digest]*step
	warnings []*client.VertexWarning
	watch    *steps // is told the same; may be nil
	veil     *veil  // may be nil
}

// step is a vertex. Statuses repeat it; the last one counts.
type step struct {
	name   string
	failed string // error, "" if none
	tail   []string
	open   bool // the last line of tail has no newline yet
	column int  // bytes since the last newline
}

func newProgress() *progress { return &progress{steps: map[digest.Digest]*step{}} }

// follow drains in until it is closed, and returns when the display has seen
// all of it.
func (p *progress) follow(ctx context.Context, in <-chan *client.SolveStatus, show Display) error {
	out := make(chan *client.SolveStatus, 16)
	shown := make(chan error, 1)
	go func() {
		// Ended by the stream, not by ctx: a cancelled build's last lines count.
		_, err := show(context.WithoutCancel(ctx), out)
		for range out { // a display that gave up must not stop the build
		}
		shown <- err
	}()
	for status := range in {
		p.update(status)
		out <- status
	}
	if last := p.veil.end(); last != nil {
		p.veil = nil // it has seen this
		p.update(last)
		out <- last
	}
	close(out)
	return <-shown
}

func (p *progress) update(status *client.SolveStatus) {
	p.veil.cover(status)
	for _, v := range status.Vertexes {
		p.clamp(v)
		s := p.step(v.Digest)
		s.name, s.failed = v.Name, v.Error
	}
	if p.watch != nil {
		p.watch.update(status)
	}
	for _, l := range status.Logs {
		if l.Timestamp.Before(p.start) {
			l.Timestamp = p.start
		}
		l.Data = p.step(l.Vertex).log(l.Data)
	}
	p.warnings = append(p.warnings, status.Warnings...)
}

func (p *progress) step(d digest.Digest) *step {
	s, ok := p.steps[d]
	if !ok {
		s = &step{}
		p.steps[d] = s
	}
	return s
}

// clamp corrects a step that runs for another build too: it carries that
// build's start. Reading the Dockerfile is always our own and comes first.
func (p *progress) clamp(v *client.Vertex) {
	if v.Started == nil {
		return
	}
	if p.start.IsZero() {
		if strings.HasPrefix(v.Name, "[internal] load build definition") {
			p.start = *v.Started
		}
		return
	}
	if v.Started.Before(p.start) {
		start := p.start
		v.Started = &start
	}
	if v.Completed != nil && v.Completed.Before(*v.Started) {
		v.Completed = v.Started
	}
}

// log remembers the end of what a step prints and returns it with newlines put
// into endless lines, which displays hold in memory whole.
func (s *step) log(data []byte) []byte {
	if s.column+len(data) > lineWidth {
		data = s.wrap(data)
	} else if i := bytes.LastIndexByte(data, '\n'); i >= 0 {
		s.column = len(data) - i - 1
	} else {
		s.column += len(data)
	}
	for line := range bytes.Lines(data) {
		text := string(line[:min(len(line), tailWidth)])
		if s.open {
			last := &s.tail[len(s.tail)-1]
			if len(*last) < tailWidth {
				*last += text
			}
		} else {
			s.tail = append(s.tail, text)
		}
		s.open = !bytes.HasSuffix(line, []byte("\n"))
	}
	if extra := len(s.tail) - tailLines; extra > 0 {
		s.tail = slices.Delete(s.tail, 0, extra)
	}
	return data
}

func (s *step) wrap(data []byte) []byte {
	var out bytes.Buffer
	for _, c := range data {
		if c == '\n' {
			s.column = 0
		} else if s.column++; s.column > lineWidth {
			out.WriteByte('\n')
			s.column = 1
		}
		out.WriteByte(c)
	}
	return out.Bytes()
}

// output is the end of what a step printed, as plain text.
func (s *step) output() string {
	if s == nil {
		return ""
	}
	var lines []string
	for _, line := range s.tail {
		lines = append(lines, plain(line))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// failedStep finds the step that ended the build: the one that the error
// names, or else the one that failed for a reason of its own.
func (p *progress) failedStep(named digest.Digest) *step {
	if p == nil {
		return nil
	}
	if s, ok := p.steps[named]; ok && named != "" {
		return s
	}
	for _, s := range p.steps {
		if s.failed != "" && !strings.HasSuffix(s.failed, context.Canceled.Error()) {
			return s
		}
	}
	return nil
}

// maxNotes is how many remarks anybody reads. A Dockerfile can be written to
// have one for every line, and they are stored with the build.
const maxNotes = 100

// notes turns the frontend's warnings into remarks at lines.
func (p *progress) notes() []builder.Note {
	var notes []builder.Note
	for _, w := range p.warnings {
		if len(notes) == maxNotes {
			return append(notes, builder.Note{Message: "there are more warnings; the build's log has them"})
		}
		n := builder.Note{Message: shorten(string(w.Short), sentenceWidth), URL: w.URL}
		if w.SourceInfo != nil {
			n.File = w.SourceInfo.Filename
		}
		if lines, ok := span(w.Range); ok {
			n.Line, n.EndLine = lines.start, lines.end
			n.Message = trimLine(n.Message)
		}
		if !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	}
	return notes
}
