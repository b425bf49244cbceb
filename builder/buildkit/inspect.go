package buildkit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"github.com/registry-build/registry-build/builder"
)

// Inspect implements builder.Solver. The Dockerfile goes through BuildKit's
// own translation, with a resolver that writes down what it is asked for, so
// the answer is about the stages that the target needs, with arguments and
// platforms expanded as in a build. It reads nothing but its arguments.
//
// What the ONBUILD lines of a base bring along stays unseen; the base's digest
// stands for them. A Dockerfile that is out of all bounds is a *Failure.
func (s *Solver) Inspect(ctx context.Context, dockerfile []byte, spec builder.Spec) (result builder.Inspection, err error) {
	request := builder.SolveRequest{Spec: spec, Dockerfile: dockerfile}
	attrs, err := frontendAttrs(request)
	if err != nil {
		return builder.Inspection{}, err
	}
	if err := checkBounds(dockerfile, spec); err != nil {
		return builder.Inspection{}, err
	}
	defer func() { // a stranger's file in somebody else's parser, in our process
		if p := recover(); p != nil {
			result, err = builder.Inspection{}, explain(fmt.Errorf("reading the Dockerfile went wrong: %v", p), request, nil)
		}
	}()
	asked := &questions{}
	caps := pb.Caps.CapSet(pb.Caps.All())
	opt := dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{BuildArgs: map[string]string{}, Target: spec.Target},
		SourceMap:    llb.NewSourceMap(nil, dockerfileName(spec), "Dockerfile", dockerfile),
		MetaResolver: asked,
		LLBCaps:      &caps,
	}
	for name, value := range attrs {
		if arg, ok := strings.CutPrefix(name, "build-arg:"); ok {
			opt.BuildArgs[arg] = value
		}
	}
	if len(spec.Platforms) == 1 {
		p, err := platforms.Parse(spec.Platforms[0])
		if err != nil {
			return builder.Inspection{}, &builder.Failure{
				Stage:   builder.StageBuild,
				Message: fmt.Sprintf("%q is not a platform; one is linux/amd64 or linux/arm64", spec.Platforms[0]),
				Err:     err,
			}
		}
		opt.TargetPlatform = &p
	}
	translated, err := dockerfile2llb.Dockerfile2LLB(ctx, dockerfile, opt)
	if err == nil {
		var ops []operation
		if ops, err = operationsOf(ctx, translated.State); err == nil {
			sources := sourcesOf(ops)
			if err := s.checkFork(sources, asked.refs, dockerfileName(spec)); err != nil {
				return builder.Inspection{}, err
			}
			result, err := asked.inspection(sources, dockerfileName(spec))
			result.Secrets, result.SSH = mountsOf(ops)
			return result, err
		}
	}
	if ctx.Err() != nil {
		return builder.Inspection{}, ctx.Err()
	}
	return builder.Inspection{}, explain(err, request, nil)
}

// questions answers every request for a base's configuration with one that has
// a layer and nothing else, and keeps the references.
type questions struct {
	mu   sync.Mutex
	refs map[string]bool
}

// anyImage must have a layer: an image without one is treated like scratch.
const anyImage = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}`

// ResolveImageConfig implements llb.ImageMetaResolver.
func (q *questions) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refs == nil {
		q.refs = map[string]bool{}
	}
	q.refs[ref] = true
	return ref, "", []byte(anyImage), nil
}

// source is an operation that brings something in from outside.
type source struct {
	id    string // scheme://…
	line  int    // of the Dockerfile; 0 unknown
	known bool   // a checksum says what its content is
}

// operation is one step of the translation, with where the Dockerfile asks for
// it.
type operation struct {
	*pb.Op
	line int // 0 unknown
}

// operationsOf lists what the state depends on, in the order of the lines.
func operationsOf(ctx context.Context, state llb.State) ([]operation, error) {
	def, err := state.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	ops := map[digest.Digest]*operation{}
	for _, raw := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(raw); err != nil {
			return nil, fmt.Errorf("read build definition: %w", err)
		}
		id := digest.FromBytes(raw)
		ops[id] = &operation{Op: &op, line: lineAt(def, id)}
	}
	// A download has no line of its own; the ADD that uses it has.
	for _, op := range ops {
		for _, in := range op.Inputs {
			if from := ops[digest.Digest(in.Digest)]; from != nil && from.GetSource() != nil && from.line == 0 {
				from.line = op.line
			}
		}
	}
	var out []operation
	for _, id := range slices.Sorted(maps.Keys(ops)) { // the same order each time, also on one line
		out = append(out, *ops[id])
	}
	slices.SortStableFunc(out, func(a, b operation) int { return cmp.Compare(a.line, b.line) })
	return out, nil
}

// sourcesOf lists the sources among the operations.
func sourcesOf(ops []operation) []source {
	var out []source
	for _, op := range ops {
		if s := op.GetSource(); s != nil {
			known := s.Attrs[pb.AttrHTTPChecksum] != "" || s.Attrs[pb.AttrGitChecksum] != ""
			out = append(out, source{id: s.Identifier, line: op.line, known: known})
		}
	}
	slices.SortFunc(out, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.id, b.id))
	})
	return out
}

// lineAt is where the Dockerfile asks for an operation; 0 unknown.
func lineAt(def *llb.Definition, id digest.Digest) int {
	if def.Source == nil {
		return 0
	}
	for _, l := range def.Source.Locations[id.String()].GetLocations() {
		if where, ok := span(l.Ranges); ok {
			return where.start
		}
	}
	return 0
}

// inspection puts bases in the order of the lines that first name them.
func (q *questions) inspection(sources []source, file string) (builder.Inspection, error) {
	if n := len(q.refs); n > maxBases { // each is asked of its registry
		return builder.Inspection{}, &builder.Failure{Stage: builder.StageBuild, File: file,
			Message: fmt.Sprintf("%s: the build reads %d images; at most %d are allowed", file, n, maxBases)}
	}
	const unknown = 1 << 30
	lineOf := map[string]int{}
	var result builder.Inspection
	for _, s := range sources {
		scheme, rest, _ := strings.Cut(s.id, "://")
		switch scheme {
		case "docker-image":
			if _, ok := lineOf[rest]; !ok && s.line > 0 {
				lineOf[rest] = s.line
			}
		case "local":
		default:
			if !s.known && result.Remote == "" {
				result.Remote = fmt.Sprintf("%s:%d: ADD of %s without a checksum", file, s.line, s.id)
			}
		}
	}
	position := func(ref string) int {
		if n, ok := lineOf[ref]; ok {
			return n
		}
		return unknown
	}
	result.Bases = slices.SortedFunc(maps.Keys(q.refs), func(a, b string) int {
		return cmp.Or(cmp.Compare(position(a), position(b)), cmp.Compare(a, b))
	})
	return result, nil
}
