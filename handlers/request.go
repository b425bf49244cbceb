package handlers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// decideWait is how long a caller is kept waiting for what his request comes
// to; deciding takes milliseconds unless a mirror is fetched first.
const decideWait = 10 * time.Second

// BuildRequest asks for a build by hand. Either Repository with at most one
// of Branch, Tag and Commit (none: the default branch), or Dockerfile with
// Destination and Tags.
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
	var e builder.Event
	var err error
	if req.Dockerfile != "" {
		e, err = uploadEvent(req, c)
	} else {
		e, err = s.sourceEvent(r, req, c)
	}
	if err != nil {
		return err
	}
	e.Kind, e.Actor, e.ID = builder.Requested, c.Name(), "api:"+delivery(r, c)
	if _, err := s.Events.Append(r.Context(), e); err != nil {
		return err
	}
	ctx, done := context.WithTimeout(r.Context(), decideWait)
	defer done()
	d, err := s.Events.AwaitDecision(ctx, e.ID)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return writeJSON(w, http.StatusAccepted, EventAnswer{Event: e.ID, Builds: []Build{}, Pending: true})
	}
	if err != nil {
		return err
	}
	answer := s.answer(r, e.ID, d)
	if len(answer.Builds) == 0 {
		return writeJSON(w, http.StatusUnprocessableEntity, answer)
	}
	return writeJSON(w, http.StatusAccepted, answer)
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
		return builder.Event{}, refuse(http.StatusNotFound, "%s has no %s", req.Repository, rev)
	}
	if err != nil {
		return builder.Event{}, err
	}
	return builder.Event{Repository: repo, Ref: ref, Commit: commit,
		Request: &builder.Request{Image: req.Image, NoCache: req.NoCache}}, nil
}

// rev is the ref that is asked for, if any, and what names the commit.
func (req BuildRequest) rev(repo builder.Repository) (ref, rev string, err error) {
	named := 0
	for _, name := range []string{req.Branch, req.Tag, req.Commit} {
		if name != "" {
			named++
		}
	}
	switch {
	case named > 1:
		return "", "", refuse(http.StatusBadRequest, `give one of "branch", "tag" and "commit"`)
	case req.Commit != "":
		if !commitPattern.MatchString(req.Commit) {
			return "", "", refuse(http.StatusBadRequest, "commit is %q; it must be 7 to 64 hexadecimal digits", req.Commit)
		}
		return "", req.Commit, nil
	case req.Tag != "":
		ref = "refs/tags/" + req.Tag
	case req.Branch != "":
		ref = "refs/heads/" + req.Branch
	case repo.DefaultBranch == "":
		return "", "", refuse(http.StatusUnprocessableEntity, "%s has no default branch; name a branch, tag or commit", repo.FullName())
	default:
		ref = "refs/heads/" + repo.DefaultBranch
	}
	return ref, ref, nil
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// uploadEvent asks for an uploaded Dockerfile. It has no repository at a
// forge, so the image repository stands for it, and the token must reach it.
func uploadEvent(req BuildRequest, c Caller) (builder.Event, error) {
	switch {
	case req.Repository != "" || req.Branch != "" || req.Tag != "" || req.Commit != "" || req.Image != "":
		return builder.Event{}, refuse(http.StatusBadRequest, `an uploaded "dockerfile" has no repository; give "destination" and "tags" with it`)
	case req.Destination == "" || len(req.Tags) == 0:
		return builder.Event{}, refuse(http.StatusBadRequest, `an uploaded "dockerfile" needs "destination" (owner/name of the image repository) and at least one of "tags"`)
	}
	destination := strings.ToLower(req.Destination)
	owner, name, ok := strings.Cut(destination, "/")
	if !ok || strings.ContainsAny(owner, ".:") || !destinationPattern.MatchString(destination) {
		return builder.Event{}, refuse(http.StatusBadRequest, `"destination" is %q; it must be owner/name in the default registry, in letters, digits, ".", "_" and "-"`, req.Destination)
	}
	if !c.MayUseAPI(destination) {
		return builder.Event{}, refuse(http.StatusForbidden, "this token may not push to %s", destination)
	}
	return builder.Event{
		Repository: builder.Repository{Forge: "upload", ID: destination, Owner: owner, Name: name},
		Request:    &builder.Request{NoCache: req.NoCache, Dockerfile: req.Dockerfile, Repository: destination, Tags: req.Tags},
	}, nil
}

var destinationPattern = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)

// delivery identifies the request: by the caller's own key, or afresh.
func delivery(r *http.Request, c Caller) string {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		return c.Name() + ":" + hex.EncodeToString([]byte(key))
	}
	return strings.ToLower(rand.Text())
}
