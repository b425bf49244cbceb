package buildkit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	digest "github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"github.com/registry-build/registry-build/builder"
)

// explain turns an error of a solve, or of reading a Dockerfile, into a
// failure with a sentence, a place and the step's last output. p may be nil.
func explain(err error, r builder.SolveRequest, p *progress) *builder.Failure {
	f := &builder.Failure{Stage: builder.StageBuild, Err: err}
	if push, ok := pushRefused(err, p); ok {
		f.Stage, f.Message = builder.StagePush, push.sentence(r.Destination)
		return f
	}
	name := dockerfileName(r.Spec)
	at := name
	where, located := locate(err)
	if located {
		f.File, f.Line, f.EndLine = name, where.start, where.end
		f.Excerpt = excerpt(r.Dockerfile, where)
		at = fmt.Sprintf("%s:%d", name, where.start)
	}
	if sentence, ok := outage(err, located); ok {
		f.Stage, f.Message = builder.StageInternal, sentence
		return f
	}
	cmd := command(r.Dockerfile, where)
	var exit *gateway.ExitError
	if errors.As(err, &exit) {
		f.Output = p.failedStep(vertexOf(err)).output()
		f.Message = at + ": " + exitSentence(cmd, exit, f.Output)
		if r.Lane == builder.ForkLane {
			f.Message += offline(f.Output)
		}
		return f
	}
	f.Message = shorten(at+": "+reason(err, cmd, r), sentenceWidth)
	return f
}

func vertexOf(err error) digest.Digest {
	var v *errdefs.VertexError
	if errors.As(err, &v) {
		return digest.Digest(v.Digest)
	}
	return ""
}

// locate finds the lines that an error points at: of a daemon's error the
// innermost source, of the parser's own its first location.
func locate(err error) (lines, bool) {
	for _, source := range errdefs.Sources(err) {
		if l, ok := span(source.Ranges); ok {
			return l, true
		}
	}
	var el *parser.LocationError
	if errors.As(err, &el) {
		for _, ranges := range el.Locations {
			if len(ranges) > 0 {
				l := lines{start: ranges[0].Start.Line, end: ranges[0].Start.Line}
				for _, r := range ranges {
					l.start = min(l.start, r.Start.Line)
					l.end = max(l.end, r.Start.Line, r.End.Line)
				}
				return l, l.start > 0
			}
		}
	}
	return lines{}, false
}

// outage recognises what is the operator's to mend.
func outage(err error, located bool) (string, bool) {
	text := err.Error()
	var exit *gateway.ExitError
	switch {
	case errors.As(err, &exit):
		return "", false
	case strings.Contains(text, "no space left on device"):
		return "the builder's disk is full; build again when there is room", true
	case located && !strings.HasSuffix(text, context.Canceled.Error()):
		return "", false
	// Nobody here cancelled it, so the daemon did.
	case strings.HasSuffix(text, context.Canceled.Error()),
		grpcerrors.Code(err) == codes.Unavailable, strings.Contains(text, "error reading from server: EOF"):
		return "the build daemon cannot be reached or has stopped; build again when it is back", true
	case strings.Contains(text, noSession):
		return "the build daemon lost its connection to this build; build again", true
	}
	return "", false
}
