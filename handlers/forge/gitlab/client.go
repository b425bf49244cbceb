package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
)

// connect makes the client that all calls go through: f.api. Its transport
// adds the token, keeps to the server's limits (a builder.Later where there is
// no room) and asks reads again that come too early after an event.
func (f *Forge) connect() error {
	transport := f.HTTP
	if transport == nil {
		transport = http.DefaultTransport
	}
	api, err := gitlab.NewClient(f.Config.Token, gitlab.WithBaseURL(f.Config.URL+"/api/v4"),
		gitlab.WithHTTPClient(&http.Client{Transport: transport}), gitlab.WithoutRetries())
	if err != nil {
		return fmt.Errorf("GitLab %s: %w", f.Config.Name, err)
	}
	f.api = api
	return nil
}

type contextKey int

const (
	urgentKey contextKey = iota
	repeatableKey
)

// urgent marks calls that must not wait behind others: how a build ended, and
// answers to people. They may use what is kept back of the budget.
func urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey, true) }

// repeatable marks writes that do no harm when they are made twice, so that
// they are tried again like reads when the answer is lost.
func repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey, true)
}

// with hands a context to a call.
func with(ctx context.Context) gitlab.RequestOptionFunc { return gitlab.WithContext(ctx) }

// answeredWith returns the HTTP status that GitLab answered a call with, 0 for
// another error.
func answeredWith(err error) int {
	var refused *gitlab.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	if errors.Is(err, gitlab.ErrNotFound) {
		return http.StatusNotFound
	}
	return 0
}

// notFound turns GitLab's 404 into builder.ErrNotFound.
func notFound(err error) error {
	if answeredWith(err) == http.StatusNotFound {
		return fmt.Errorf("%w: %w", builder.ErrNotFound, err)
	}
	return err
}

// projectID reads a project's id. What is none belongs to nobody.
func projectID(repo builder.Repository) (int, error) {
	id, err := strconv.Atoi(repo.ID)
	if err != nil || id <= 0 || repo.ID != strconv.Itoa(id) {
		return 0, fmt.Errorf("%q is no project of GitLab's: %w", repo.ID, builder.ErrNotFound)
	}
	return id, nil
}
