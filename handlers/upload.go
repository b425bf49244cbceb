package handlers

import (
	"net/http"
	"strings"

	"github.com/distribution/reference"

	"github.com/registry-build/registry-build/builder"
)

// maxUploadTags is what a rule of a build file may have too.
const maxUploadTags = 100

// uploadEvent asks for an uploaded Dockerfile. It has no repository at a
// forge, so the image repository stands for it, and the token must reach it.
func uploadEvent(req BuildRequest, c Caller) (builder.Event, error) {
	refused := func(status int, format string, args ...any) (builder.Event, error) {
		return builder.Event{}, refuse(status, format, args...)
	}
	switch {
	case req.Repository != "" || req.Branch != "" || req.Tag != "" || req.Commit != "" || req.Image != "":
		return refused(http.StatusBadRequest, `an uploaded "dockerfile" has no repository; give "destination" and "tags" with it`)
	case req.Destination == "" || len(req.Tags) == 0:
		return refused(http.StatusBadRequest, `an uploaded "dockerfile" needs "destination" (owner/name of the image repository) and at least one of "tags"`)
	case len(req.Tags) > maxUploadTags:
		return refused(http.StatusBadRequest, `"tags" has %d entries; it may have %d`, len(req.Tags), maxUploadTags)
	}
	for _, tag := range req.Tags {
		if !builder.ValidTag(tag) {
			return refused(http.StatusBadRequest, "%q is no tag: letters, digits, _ . and -, at most 128, neither . nor - first", tag)
		}
	}
	owner, name, ok := destination(req.Destination)
	if !ok {
		return refused(http.StatusBadRequest, `"destination" is %q; it must be owner/name in the default registry, in small letters and digits with single . _ - between them`, req.Destination)
	}
	if !c.MayUseAPI(req.Destination) || !c.MayPush(req.Destination) {
		return refused(http.StatusForbidden, "token %s may not push to %s", c.Name(), req.Destination)
	}
	return builder.Event{
		Repository: builder.Repository{Forge: "upload", ID: req.Destination, Owner: owner, Name: name},
		Request:    &builder.Request{NoCache: req.NoCache, Dockerfile: req.Dockerfile, Repository: req.Destination, Tags: req.Tags},
	}, nil
}

// destination takes owner/name apart. An owner that reads as a registry's host
// is none: rights are given for names in our own registry, and another one's
// logins must not be had by calling oneself like it.
func destination(text string) (owner, name string, ok bool) {
	owner, name, found := strings.Cut(text, "/")
	named, err := reference.WithName(text)
	host := owner == "localhost" || strings.ContainsAny(owner, ".:")
	return owner, name, found && !host && err == nil && named.Name() == text && strings.ToLower(text) == text
}
