package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// callLimit is how long one call may take with its repetitions, so that it
// ends before the courier gives up on it.
const callLimit = 25 * time.Second

// need names the permissions of a call as GitHub does: {"checks": "write"}.
// https://docs.github.com/rest/authentication/permissions-required-for-github-apps
type need map[string]string

func (n need) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, name+": "+n[name])
	}
	return strings.Join(parts, ", ")
}

// client speaks to GitHub for one repository, with a token for it and the
// permissions that are named. Whatever owner and name its calls give, they go
// to this repository, also after it was renamed. builder.ErrNotFound when we
// are not let in, a missingPermission when the installation does not grant
// what is needed, a builder.Later when a limit leaves no room; calls answer
// with the latter two, too.
func (a *App) client(ctx context.Context, repo builder.Repository, n need) (*github.Client, error) {
	d, err := a.door(ctx, repo, n)
	if err != nil {
		return nil, err
	}
	return d.client, nil
}

// appClient speaks to GitHub as the app itself. builder.ErrNotFound while
// there is no app.
func (a *App) appClient(ctx context.Context) (*github.Client, error) {
	x, err := a.access(ctx)
	if err != nil {
		return nil, err
	}
	return x.client, nil
}

type contextKey int

const (
	repeatableKey contextKey = iota
	onceKey
)

// repeatable marks writes that do no harm when they are made twice, so that
// they are tried again like reads when the answer is lost.
func repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey, true)
}

// answeredWith returns the HTTP status that GitHub answered a call with, 0 for
// another error.
func answeredWith(err error) int {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	return 0
}

// notFound turns GitHub's 404 into builder.ErrNotFound.
func notFound(err error) error {
	if answeredWith(err) == http.StatusNotFound {
		return fmt.Errorf("%w: %w", builder.ErrNotFound, err)
	}
	return err
}

// numericID reads an id as GitHub gives them. What is none belongs to nobody.
func numericID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || text != strconv.FormatInt(id, 10) {
		return 0, fmt.Errorf("%q is no id of GitHub's: %w", text, builder.ErrNotFound)
	}
	return id, nil
}
