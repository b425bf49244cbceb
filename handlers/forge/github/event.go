package github

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	maxDelivery = 100 // characters of X-GitHub-Delivery; GitHub's are UUIDs
	maxName     = 100 // of an owner, a repository, an action
)

// delivery is one webhook under way: what its reader needs beside the body.
type delivery struct {
	app   *App
	event string // X-GitHub-Event
	id    string // X-GitHub-Delivery, the same each time it is delivered
	body  []byte
}

// reader reads one type of event.
type reader func(delivery) ([]builder.Event, error)

// readerOf returns what reads a type of event. Types that are never wanted,
// but that an app may be subscribed to, have none and are known, so that they
// are counted by name.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
func readerOf(event string) (read reader, known bool) {
	switch event {
	case "push":
		return readPush, true
	case "pull_request":
		return readPull, true
	case "merge_group":
		return readMergeGroup, true
	case "issue_comment":
		return readIssueComment, true
	case "commit_comment":
		return readCommitComment, true
	case "check_run":
		return readCheckRun, true
	case "check_suite":
		return readCheckSuite, true
	case "installation":
		return readInstallation, true
	case "installation_repositories":
		return readInstallationRepositories, true
	case "repository":
		return readRepository, true
	case "create", "delete", "ping", "meta", "status", "deployment", "deployment_status", "github_app_authorization":
		return nil, true
	}
	return nil, false
}

// EventType is the delivery's type where we know it, else "other": a bounded
// label for counting.
func (a *App) EventType(header http.Header) string {
	event := header.Get(headerEvent)
	if _, known := readerOf(event); !known {
		return "other"
	}
	return event
}

// Events implements forge.Verifier. It asks nobody, and the same delivery
// gives the same events whenever it comes.
func (a *App) Events(header http.Header, body []byte) ([]builder.Event, error) {
	d := delivery{app: a, event: header.Get(headerEvent), id: header.Get(headerDelivery), body: body}
	if !forge.Plain(d.event, "_", maxName) {
		return nil, forge.BrokenPayload("there is no X-GitHub-Event header that names an event")
	}
	if !forge.Plain(d.id, "-", maxDelivery) {
		return nil, forge.BrokenPayload("there is no X-GitHub-Delivery header of 1 to %d letters, digits and dashes", maxDelivery)
	}
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		return nil, forge.BrokenPayload("the webhook sends forms: set its content type to application/json")
	}
	if read, _ := readerOf(d.event); read != nil {
		return read(d)
	}
	var p struct {
		Action string `json:"action"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	switch d.event {
	case "create", "delete":
		return nil, d.ignore(p.Action, "push tells the same")
	}
	return nil, d.ignore(p.Action, "")
}

// payload is what all payloads have, as far as they have it. Payloads are read
// into structs of the fields that are needed and no others: reading is most of
// what accepting a push costs.
type payload struct {
	Action       string             `json:"action"`
	Repository   *payloadRepository `json:"repository"`
	Sender       payloadUser        `json:"sender"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
}

type payloadRepository struct {
	ID            int64       `json:"id"`
	Name          string      `json:"name"`
	FullName      string      `json:"full_name"`
	DefaultBranch string      `json:"default_branch"`
	Owner         payloadUser `json:"owner"`
}

type payloadUser struct {
	Login string `json:"login"`
	Type  string `json:"type"`
}

// read decodes the payload.
func (d delivery) read(into any) error {
	if err := json.Unmarshal(d.body, into); err != nil {
		return fmt.Errorf("%s: %w: %w", d.event, forge.ErrPayload, err)
	}
	return nil
}

// of returns the repository that the payload is about.
func (c payload) of() (builder.Repository, error) {
	if c.Repository == nil {
		return builder.Repository{}, forge.BrokenPayload("it names no repository")
	}
	return c.Repository.in(c.Installation.ID)
}

// in returns the repository as an installation shows it. What an
// installation lists has no owner and no default branch.
func (r payloadRepository) in(installation int64) (builder.Repository, error) {
	owner := r.Owner.Login
	if owner == "" {
		owner, _, _ = strings.Cut(r.FullName, "/")
	}
	if r.ID <= 0 || !named(owner) || !named(r.Name) {
		return builder.Repository{}, forge.BrokenPayload("repository %.100q has no id, owner or name", r.FullName)
	}
	repo := builder.Repository{
		Forge: Instance, ID: strconv.FormatInt(r.ID, 10), Owner: owner, Name: r.Name, DefaultBranch: r.DefaultBranch,
	}
	if installation > 0 {
		repo.Installation = strconv.FormatInt(installation, 10)
	}
	return repo, nil
}

// eventID names an event of the delivery: about a ref, or "".
func (d delivery) eventID(ref string) string {
	id := Instance + ":" + d.id
	if ref != "" {
		id += ":" + ref
	}
	return id
}

// ignore says that the delivery starts nothing, and why where that is not
// plain.
func (d delivery) ignore(action, why string) error {
	what := d.event
	if forge.Plain(action, "_", maxName) {
		what += "." + action
	}
	if why != "" {
		what += ": " + why
	}
	return fmt.Errorf("%s: %w", what, forge.ErrIgnored)
}

// isBot reports whether a program writes, and none that the operator allowed.
func (a *App) isBot(p payloadUser) bool {
	return p.Type == "Bot" && !slices.ContainsFunc(a.Config.Bots, func(login string) bool { return strings.EqualFold(login, p.Login) })
}

// named reports whether text can be an owner or a repository.
func named(text string) bool {
	return forge.Plain(text, "-_.", maxName) && text != "." && text != ".."
}
