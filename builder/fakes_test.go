package builder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// lab is the domain on a real store, with everything else in the hands of the
// test: commits, solves, tags, triggers and reports.
type lab struct {
	t        *testing.T
	store    *store.Store
	commits  map[string]map[string]string // commit -> files
	parents  map[string]string
	refs     map[string]string
	forge    *labForge     // nil: the repository's forge has no people
	confirms builder.Forge // in its place; may be nil
	solve    func(ctx context.Context, r builder.SolveRequest, log io.Writer) (builder.Solution, error)
	resolve  func(reference string) (string, error)
	put      func(r builder.TagRequest) ([]builder.TagOutcome, error)
	due      []string
	fire     func(f builder.Firing) builder.TriggerRun
	mu       sync.Mutex
	reports  []builder.Report
	reported chan builder.Report
}

const labFile = "version: 1\nimages:\n  - rules:\n      - branch: main\n        tags: [latest]\n      - tag: \"v*\"\n        tags: [\"${tag}\"]\n"

func newLab(t *testing.T, o store.Options) *lab {
	t.Helper()
	return &lab{
		t: t, store: storetest.New(t, o),
		commits: map[string]map[string]string{}, parents: map[string]string{}, refs: map[string]string{},
		solve: func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
			return builder.Solution{Digest: "sha256:one"}, nil
		},
		resolve:  func(string) (string, error) { return "sha256:one", nil },
		reported: make(chan builder.Report, 64),
	}
}

// commit adds a commit with a build file and a Dockerfile whose text is tree.
func (l *lab) commit(id, parent, tree string) {
	l.commits[id] = map[string]string{".registry-build.yml": labFile, "Dockerfile": "FROM scratch\n# " + tree + "\n"}
	l.parents[id] = parent
}

var labRepo = builder.Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello", DefaultBranch: "main"}

// push accepts the push of a commit and decides it.
func (l *lab) push(ctx context.Context, ref, before, commit string) builder.Decision {
	l.t.Helper()
	kind := builder.BranchPushed
	if strings.HasPrefix(ref, "refs/tags/") {
		kind = builder.TagPushed
	}
	l.refs[ref] = commit
	return l.decide(ctx, builder.Event{ID: "git:" + before + commit + ":" + ref, Kind: kind, Ref: ref, Before: before, Commit: commit, Actor: "ada"})
}

// decide accepts an event and decides it.
func (l *lab) decide(ctx context.Context, e builder.Event) builder.Decision {
	l.t.Helper()
	if e.Repository.ID == "" {
		e.Repository = labRepo
	}
	if _, err := l.store.Append(ctx, e); err != nil {
		l.t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.dispatcher().Run(run) }()
	d, err := l.store.AwaitDecision(ctx, e.ID)
	stop()
	<-done
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

func (l *lab) dispatcher() *builder.Dispatcher {
	d := &builder.Dispatcher{Inbox: l.store, Sources: l, Past: l.store, Positions: l.store, Name: "test", Log: slog.New(slog.DiscardHandler)}
	if l.forge != nil {
		d.Forges = map[string]builder.Forge{labRepo.Forge: l.forge}
		d.Merge = map[string]bool{labRepo.Forge: l.forge.merge}
		d.Suggest = map[string]bool{labRepo.Forge: true}
	}
	if l.confirms != nil {
		d.Forges[labRepo.Forge] = l.confirms
	}
	return d
}

func (l *lab) worker() *builder.Worker {
	return &builder.Worker{
		Queue: l.store, Leases: l.store, Inputs: l.store, Logs: l.store, Sources: l, Solvers: labSolvers{l}, Registry: labRegistry{l},
		Logins: labLogins{}, Triggers: labTriggers{l}, Redactor: labRedactor{},
		Name: "worker", Parallel: 2, Host: "registry.test", Timeout: time.Minute, Drain: time.Second, Log: slog.New(slog.DiscardHandler),
	}
}

// work runs a worker until the build has ended, and returns its record.
func (l *lab) work(ctx context.Context, id string) builder.Record {
	l.t.Helper()
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.worker().Run(run) }()
	defer func() { stop(); <-done }()
	return l.ended(ctx, id)
}

func (l *lab) ended(ctx context.Context, id string) builder.Record {
	l.t.Helper()
	if _, err := l.store.AwaitBuild(ctx, id); err != nil {
		l.t.Fatal(err)
	}
	r, err := l.store.Build(ctx, id)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *lab) log(ctx context.Context, id string) string {
	l.t.Helper()
	var b strings.Builder
	for chunk, err := range l.store.ReadLog(ctx, id, "", false) {
		if err != nil {
			l.t.Fatal(err)
		}
		b.Write(chunk.Data)
	}
	return b.String()
}

// Sources.

func (l *lab) Open(_ context.Context, _ builder.Repository, commit string) (builder.Source, error) {
	files, ok := l.commits[commit]
	if !ok {
		return nil, &builder.Failure{Stage: builder.StageSource, Message: "commit " + commit + " is gone"}
	}
	return labSource{l, commit, files}, nil
}

func (l *lab) Resolve(_ context.Context, _ builder.Repository, rev string) (string, error) {
	if commit, ok := l.refs[rev]; ok {
		return commit, nil
	}
	return "", builder.ErrNotFound
}

type labSource struct {
	*lab
	commit string
	files  map[string]string
}

func (s labSource) ReadFile(_ context.Context, name string, _ int64) ([]byte, error) {
	text, ok := s.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (s labSource) Context(context.Context, string, string) (builder.Context, error) {
	return labContext(fmt.Sprint(s.files)), nil
}

func (s labSource) Descends(_ context.Context, ancestor, commit string) (bool, error) {
	for ; commit != ""; commit = s.parents[commit] {
		if commit == ancestor {
			return true, nil
		}
	}
	return false, nil
}

func (s labSource) Find(_ context.Context, limit int, match func(string) bool) ([]string, error) {
	found := slices.DeleteFunc(slices.Sorted(maps.Keys(s.files)), func(name string) bool { return !match(name) })
	return found[:min(len(found), limit)], nil
}

func (s labSource) Changed(_ context.Context, from, to string) ([]string, error) {
	a, okA := s.commits[from]
	b, okB := s.commits[to]
	if !okA || !okB {
		return nil, builder.ErrNotFound
	}
	changed := map[string]bool{}
	for name, text := range a {
		changed[name] = b[name] != text
	}
	for name, text := range b {
		changed[name] = a[name] != text
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(changed)), func(name string) bool { return !changed[name] }), nil
}

// Parents: every commit of the lab has one at most, and a merge that one.
func (s labSource) Parents(context.Context) ([]string, error) {
	return []string{s.parents[s.commit]}, nil
}

func (s labSource) MergeBase(ctx context.Context, a, b string) (string, error) {
	for ; a != ""; a = s.parents[a] {
		if ok, _ := s.Descends(ctx, a, b); ok {
			return a, nil
		}
	}
	return "", builder.ErrNotFound
}

func (labSource) Close() error { return nil }

type labContext string

func (labContext) Walk(context.Context, string, fs.WalkDirFunc) error { return nil }
func (labContext) Open(string) (io.ReadCloser, error)                 { return nil, fs.ErrNotExist }
func (c labContext) Hash() string                                     { return string(c) }

// labForge knows people and pull requests.
type labForge struct {
	pulls     map[int]builder.Pull
	people    map[string]builder.Permission
	protected map[string]bool
	merge     bool // pull requests are built as if merged
	asked     int
	ready     map[int]string // how often it must be asked -> the merge that it has then
	denied    error          // what it answers, if that is all
	mayPeople bool           // … but not where people are asked for
}

func (f *labForge) Pull(_ context.Context, _ builder.Repository, number int) (builder.Pull, error) {
	f.asked++
	if f.denied != nil {
		return builder.Pull{}, f.denied
	}
	p, ok := f.pulls[number]
	if !ok {
		return p, builder.ErrNotFound
	}
	if merge := f.ready[f.asked]; merge != "" {
		p.Merge = merge
	}
	return p, nil
}

func (f *labForge) Permission(_ context.Context, _ builder.Repository, person string) (builder.Permission, error) {
	if f.denied != nil && !f.mayPeople {
		return builder.PermissionNone, f.denied
	}
	return f.people[person], nil
}

func (f *labForge) Protected(_ context.Context, _ builder.Repository, ref string) (bool, error) {
	f.asked++
	return f.protected[ref], f.denied
}

// Solver, registry, logins, triggers, reporter.

type labSolvers struct{ *lab }

func (l labSolvers) Acquire(context.Context, builder.Build) (builder.Daemon, error) {
	return builder.Daemon{Solver: labSolver(l), Toolchain: builder.Toolchain{Frontend: "dockerfile.v0", BuildKit: "test"}, Release: func() {}}, nil
}

type labSolver struct{ *lab }

func (labSolver) Inspect(_ context.Context, dockerfile []byte, _ builder.Spec) (builder.Inspection, error) {
	var in builder.Inspection
	for line := range strings.Lines(string(dockerfile)) {
		if base, ok := strings.CutPrefix(strings.TrimSpace(line), "FROM "); ok && base != "scratch" {
			in.Bases = append(in.Bases, base)
		}
	}
	return in, nil
}

func (s labSolver) Solve(ctx context.Context, r builder.SolveRequest, log io.Writer) (builder.Solution, error) {
	return s.lab.solve(ctx, r, log)
}

type labRegistry struct{ *lab }

func (r labRegistry) Resolve(_ context.Context, reference string, _ builder.Login) (string, error) {
	return r.resolve(reference)
}

func (r labRegistry) Put(ctx context.Context, q builder.TagRequest) ([]builder.TagOutcome, error) {
	if err := q.Fence(ctx); err != nil {
		return nil, err
	}
	if r.put != nil {
		return r.put(q)
	}
	var out []builder.TagOutcome
	for _, t := range q.Tags {
		out = append(out, builder.TagOutcome{Tag: t, Moved: true})
	}
	return out, nil
}

type labLogins struct{}

func (labLogins) Login(context.Context, builder.Build, string) (builder.Login, func(), error) {
	return builder.Login{Host: "registry.test", Username: "build", Password: "minted"}, func() {}, nil
}

type labTriggers struct{ *lab }

func (t labTriggers) Due(builder.Record, builder.State) []string { return t.due }
func (t labTriggers) Begin(_ context.Context, f builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: builder.RunRunning}
}
func (t labTriggers) Fire(_ context.Context, f builder.Firing) builder.TriggerRun {
	return t.fire(f)
}

func (l *lab) Report(_ context.Context, r builder.Report) error {
	l.mu.Lock()
	l.reports = append(l.reports, r)
	l.mu.Unlock()
	l.reported <- r
	return nil
}

type labRedactor struct{}

func (labRedactor) Redact(_ context.Context, text string) string {
	return strings.ReplaceAll(text, "hunter2", "***")
}
func (labRedactor) Writer(_ context.Context, w io.Writer) io.WriteCloser { return labWriter{w} }

type labWriter struct{ io.Writer }

func (labWriter) Close() error { return nil }

var errAway = errors.New("dial: connection refused")

func (tagTriggers) Begin(context.Context, builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{State: builder.RunRunning}
}
