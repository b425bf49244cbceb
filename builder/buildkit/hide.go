package buildkit

import (
	"bytes"
	"io"
	"slices"

	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
)

// veil hides secrets in what steps print, each of a step's streams by itself.
// In the log that people read, steps that run side by side, and what one
// prints as output and as errors, cut into each other's lines: there a secret
// may stand in two pieces, with other text between, that nobody finds again.
type veil struct {
	hide    func(io.Writer) io.WriteCloser
	streams map[stream]*veiled
}

type stream struct {
	vertex digest.Digest
	number int
}

// veiled is one stream; what it holds back may become a secret.
type veiled struct {
	io.WriteCloser
	shown bytes.Buffer
}

func newVeil(hide func(io.Writer) io.WriteCloser) *veil {
	return &veil{hide: hide, streams: map[stream]*veiled{}}
}

// cover replaces the status's logs by what may be shown of them now. With a
// step's end comes the rest.
func (v *veil) cover(status *client.SolveStatus) {
	if v == nil || v.hide == nil {
		return
	}
	for _, l := range status.Logs {
		key := stream{l.Vertex, l.Stream}
		s, ok := v.streams[key]
		if !ok {
			s = &veiled{}
			s.WriteCloser = v.hide(&s.shown)
			v.streams[key] = s
		}
		_, _ = s.Write(l.Data) // into a buffer
		l.Data = s.take()
	}
	for _, vertex := range status.Vertexes {
		if vertex.Completed != nil {
			status.Logs = append(status.Logs, v.rest(func(s stream) bool { return s.vertex == vertex.Digest }, vertex)...)
		}
	}
	status.Logs = slices.DeleteFunc(status.Logs, func(l *client.VertexLog) bool { return len(l.Data) == 0 })
}

// end is what is left when the daemon says no more.
func (v *veil) end() *client.SolveStatus {
	if v == nil {
		return nil
	}
	logs := slices.DeleteFunc(v.rest(func(stream) bool { return true }, nil), func(l *client.VertexLog) bool { return len(l.Data) == 0 })
	if len(logs) == 0 {
		return nil
	}
	return &client.SolveStatus{Logs: logs}
}

func (v *veil) rest(of func(stream) bool, ended *client.Vertex) []*client.VertexLog {
	var logs []*client.VertexLog
	for key, s := range v.streams {
		if !of(key) {
			continue
		}
		_ = s.Close()
		l := &client.VertexLog{Vertex: key.vertex, Stream: key.number, Data: s.take()}
		if ended != nil {
			l.Timestamp = *ended.Completed
		}
		logs = append(logs, l)
		delete(v.streams, key)
	}
	slices.SortFunc(logs, func(a, b *client.VertexLog) int { return a.Stream - b.Stream })
	return logs
}

func (s *veiled) take() []byte {
	data := bytes.Clone(s.shown.Bytes())
	s.shown.Reset()
	return data
}
