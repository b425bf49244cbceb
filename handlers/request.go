package handlers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// decideWait is how long a caller is kept waiting for what his request comes
// to; deciding takes milliseconds unless a mirror is fetched first.
const decideWait = 10 * time.Second

// maxKey is the longest Idempotency-Key, in bytes.
const maxKey = 255

// BuildRequest asks for a build by hand. Either Repository with at most one
// of Branch, Tag and Commit (none: the default branch), or Dockerfile with
// Destination and Tags.
//
// A ref and a commit never come together: what a build may reach follows from
// its ref, so whoever could name both would build any commit with the default
// branch's rights. The commit of a ref is what the repository says it is.
type BuildRequest struct {
	Repository string `json:"repository,omitempty"` // owner/name
	Branch     string `json:"branch,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Commit     string `json:"commit,omitempty"` // 7 characters or more
	Image      string `json:"image,omitempty"`  // only this one of the build file
	NoCache    bool   `json:"noCache,omitempty"`

	Dockerfile  string   `json:"dockerfile,omitempty"`  // the text
	Destination string   `json:"destination,omitempty"` // image repository of the uploaded Dockerfile
	Tags        []string `json:"tags,omitempty"`        // of the uploaded Dockerfile
}

// requestBuild accepts a build by hand like any other event, and then waits
// to tell what it came to. The header Idempotency-Key makes a repeated
// request the same event.
func (s *Server) requestBuild(w http.ResponseWriter, r *http.Request, c Caller) error {
	var req BuildRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	delivery, err := delivery(r, c)
	if err != nil {
		return err
	}
	var e builder.Event
	if req.Dockerfile != "" {
		e, err = uploadEvent(req, c)
	} else {
		e, err = s.sourceEvent(r, req, c)
	}
	if err != nil {
		return err
	}
	e.Kind, e.Actor, e.ID = builder.Requested, c.Name(), "api:"+delivery
	receipt, err := s.Events.Append(r.Context(), e)
	if err != nil {
		return err
	}
	if receipt.Duplicate {
		if err := s.sameRequest(r.Context(), e); err != nil {
			return err
		}
	}
	return s.awaitAnswer(w, r, e.ID)
}

// awaitAnswer tells what an accepted event came to. From here on the build
// will happen, so an error must not make the caller ask again: he gets the
// event's ID and sees later.
func (s *Server) awaitAnswer(w http.ResponseWriter, r *http.Request, eventID string) error {
	ctx, done := context.WithTimeout(r.Context(), decideWait)
	defer done()
	d, err := s.Events.AwaitDecision(ctx, eventID)
	var answer EventAnswer
	if err == nil {
		answer, err = s.answer(ctx, eventID, d)
	}
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Log.Warn("decision not told", "event", eventID, "err", err)
		}
		return writeJSON(w, http.StatusAccepted, pending(eventID))
	}
	if len(d.Builds) == 0 {
		return writeJSON(w, http.StatusUnprocessableEntity, answer)
	}
	return writeJSON(w, http.StatusAccepted, answer)
}

// delivery identifies the request: by the caller's own key, or afresh.
func delivery(r *http.Request, c Caller) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	switch {
	case key == "":
		return strings.ToLower(rand.Text()), nil
	case len(key) > maxKey:
		return "", refuse(http.StatusBadRequest, "Idempotency-Key has %d bytes; it may have %d", len(key), maxKey)
	}
	sum := sha256.Sum256([]byte(c.Name() + "\n" + key)) // a header holds no line end
	return hex.EncodeToString(sum[:16]), nil
}

// sameRequest holds a repeated request against what was accepted under its
// key. The commit of a ref may have moved on in between.
func (s *Server) sameRequest(ctx context.Context, e builder.Event) error {
	first, err := s.Events.Event(ctx, e.ID)
	if err != nil {
		return err
	}
	if first.Repository.Key() != e.Repository.Key() || first.Ref != e.Ref || e.Ref == "" && first.Commit != e.Commit ||
		!reflect.DeepEqual(first.Request, e.Request) {
		return refuse(http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request; give each request its own")
	}
	return nil
}

// sourceEvent asks for a ref or commit of a repository.
func (s *Server) sourceEvent(r *http.Request, req BuildRequest, c Caller) (builder.Event, error) {
	switch {
	case req.Repository == "":
		return builder.Event{}, refuse(http.StatusBadRequest, `"repository" (owner/name) or "dockerfile" (the text) is needed`)
	case len(req.Tags) > 0 || req.Destination != "":
		return builder.Event{}, refuse(http.StatusBadRequest, `"tags" and "destination" go with an uploaded "dockerfile"; for a repository the build file gives them`)
	}
	repo, err := s.repository(r, c, req.Repository)
	if err != nil {
		return builder.Event{}, err
	}
	ref, rev, err := req.rev(repo)
	if err != nil {
		return builder.Event{}, err
	}
	commit, err := s.Repositories.Resolve(r.Context(), repo, rev)
	if errors.Is(err, builder.ErrNotFound) {
		return builder.Event{}, refuse(http.StatusNotFound, "%s has no %s", req.Repository, display(ref, rev))
	}
	if err != nil {
		return builder.Event{}, err
	}
	return builder.Event{Repository: repo, Ref: ref, Commit: commit,
		Request: &builder.Request{Image: req.Image, NoCache: req.NoCache}}, nil
}

const (
	branches = "refs/heads/"
	tags     = "refs/tags/"
)

func display(ref, rev string) string {
	if name, ok := strings.CutPrefix(ref, branches); ok {
		return "branch " + name
	}
	if name, ok := strings.CutPrefix(ref, tags); ok {
		return "tag " + name
	}
	return "commit " + rev
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// rev is the ref that is asked for, if any, and what names the commit.
func (req BuildRequest) rev(repo builder.Repository) (ref, rev string, err error) {
	named := 0
	for _, name := range []string{req.Branch, req.Tag, req.Commit} {
		if name != "" {
			named++
		}
		if strings.HasPrefix(name, "refs/") {
			return "", "", refuse(http.StatusBadRequest, "%q is a whole ref; write the branch or tag without refs/heads/ or refs/tags/", name)
		}
	}
	switch {
	case named > 1:
		return "", "", refuse(http.StatusBadRequest, `give one of "branch", "tag" and "commit"`)
	case req.Commit != "":
		if !commitPattern.MatchString(req.Commit) {
			return "", "", refuse(http.StatusBadRequest, "commit is %q; it must be 7 to 64 hexadecimal digits in lower case", req.Commit)
		}
		return "", req.Commit, nil
	case req.Tag != "":
		ref = tags + req.Tag
	case req.Branch != "":
		ref = branches + req.Branch
	case repo.DefaultBranch == "":
		return "", "", refuse(http.StatusUnprocessableEntity, "%s has no default branch; name a branch, tag or commit", repo.FullName())
	default:
		ref = branches + repo.DefaultBranch
	}
	return ref, ref, nil
}
