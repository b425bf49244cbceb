package githubtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Validator holds requests and responses against GitHub's own description of
// its REST API and collects what does not fit. It may be used by several
// servers at once.
type Validator struct {
	// RequestsOnly leaves the responses alone: for a peer whose answers are
	// known to be inexact. Set it before the first use.
	RequestsOnly bool

	description *apiDescription

	mu         sync.Mutex
	violations []string
}

// NewValidator is cheap but for the first one of a process, which reads the
// description (npm package @octokit/openapi) in under a second.
func NewValidator() (*Validator, error) {
	d, err := description()
	if err != nil {
		return nil, err
	}
	return &Validator{description: d}, nil
}

// Violations lists what did not fit so far.
func (v *Validator) Violations() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.violations)
}

// Take is Violations and forgets them, for tests that provoke them.
func (v *Validator) Take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.violations
	v.violations = nil
	return out
}

func (v *Validator) add(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

// Exchange is one request and its response.
type Exchange struct {
	Method        string
	URL           *url.URL // the path as in the description, without /api/v3
	RequestHeader http.Header
	RequestBody   []byte
	Status        int
	Header        http.Header
	Body          []byte
	Failed        bool // on demand: the response is not held against anything
}

// Check holds one exchange against the description.
func (v *Validator) Check(e *Exchange) {
	what := e.Method + " " + e.URL.Path
	req, err := http.NewRequest(e.Method, e.URL.String(), bytes.NewReader(e.RequestBody))
	if err != nil {
		v.add("%s: %v", what, err)
		return
	}
	req.Header = e.RequestHeader.Clone()
	if len(e.RequestBody) > 0 && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	route, params, found := v.description.find(req)
	if !found {
		v.add("%s: no such operation in what githubtest knows of GitHub's description (route.go)", what)
		return
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, SkipSettingDefaults: true,
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	ctx := context.Background()
	if err := openapi3filter.ValidateRequest(ctx, in); err != nil {
		v.report(route, "request", what, err)
	}
	if v.RequestsOnly || e.Failed || e.Status == http.StatusNotModified || e.Status >= 500 {
		return
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: e.Status, Header: e.Header,
		Body: io.NopCloser(bytes.NewReader(e.Body)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		v.report(route, fmt.Sprintf("response %d", e.Status), what, err)
	}
}

func (v *Validator) report(route *routers.Route, side, what string, err error) {
	for _, text := range flatten(err) {
		if !excepted(route.Method+" "+route.Path, side, text) {
			v.add("%s: %s: %s", what, side, text)
		}
	}
}

// flatten makes a line of each error.
func flatten(err error) []string {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		var out []string
		for _, e := range many.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	text := err.Error()
	if i := strings.Index(text, "\nSchema:"); i >= 0 { // the schema and the value are pages long
		text = text[:i]
	}
	return []string{strings.Join(strings.Fields(text), " ")}
}

// CheckPayload holds a webhook's payload against GitHub's description of it.
func (v *Validator) CheckPayload(event string, payload []byte) {
	var body map[string]any
	if err := json.Unmarshal(payload, &body); err != nil {
		v.add("webhook %s: %v", event, err)
		return
	}
	key := strings.ReplaceAll(event, "_", "-")
	if action, ok := body["action"].(string); ok {
		key += "-" + strings.ReplaceAll(action, "_", "-")
	}
	schema := v.description.webhooks[key]
	if schema == nil {
		v.add("webhook %s: GitHub's description has no such event and action", key)
		return
	}
	if err := schema.VisitJSON(body, openapi3.MultiErrors()); err != nil {
		for _, text := range flatten(err) {
			if !excepted("webhook "+key, "payload", text) {
				v.add("webhook %s: %s", key, text)
			}
		}
	}
}
