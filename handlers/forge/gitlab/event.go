package gitlab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	maxDelivery = 100  // characters of Idempotency-Key; GitLab's are UUIDs
	maxName     = 100  // of a webhook's type, an action
	maxSegment  = 255  // of each part of a project's path
	maxPath     = 1024 // of a project's path: 20 groups at most
)

// delivery is one webhook under way: what its reader needs.
type delivery struct {
	forge *Forge
	event string // what happened: "push", "merge_request", "project_destroy"
	id    string // the same each time it is delivered
	scope scope  // of the token, where we made the webhook
	payload
}

// reader reads one type of event.
type reader func(delivery) ([]builder.Event, error)

// readerOf returns what reads a type of event. Types that are never wanted, but
// that webhooks of ours may bring, have none and are known, so that they are
// counted by name. Those of several words are only told by system hooks, or by
// a group's "Project Hook".
// https://docs.gitlab.com/user/project/integrations/webhook_events/
// https://docs.gitlab.com/administration/system_hooks/
func readerOf(event string) (read reader, known bool) {
	switch event {
	case "push":
		return readPush, true
	case "tag_push":
		return readPush, true
	case "merge_request":
		return readMergeRequest, true
	case "note", "confidential_note":
		return readNote, true
	case "project_destroy":
		return readDestroyed, true
	case "system", "project", "subgroup", "member", "issue", "confidential_issue", "pipeline", "job", "build",
		"wiki_page", "deployment", "release", "emoji", "service":
		return nil, true
	}
	return nil, false
}

// EventType is the delivery's type where we know it, else "other": a bounded
// label for counting. Whatever a system hook tells is "system".
func (f *Forge) EventType(header http.Header) string {
	event := hookType(header)
	if _, known := readerOf(event); !known || event == "project_destroy" {
		return "other"
	}
	return event
}

// hookType turns "Merge Request Hook" into merge_request.
func hookType(header http.Header) string {
	text, ok := strings.CutSuffix(header.Get(headerEvent), " Hook")
	if !ok || !forge.Plain(text, " ", maxName) {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(text), " ", "_")
}

// Events implements forge.Verifier. It asks nobody, and the same delivery
// gives the same events whenever it comes.
//
// GitLab counts what is not answered with 2xx against the webhook, and switches
// it off after four in a row. So only what is no payload at all, or not the
// webhook's to tell, is refused. What is genuine and odd is ignored, with the
// reason in the answer, which GitLab keeps for the webhook's owner to see.
// https://docs.gitlab.com/user/project/integrations/webhooks/#auto-disabled-webhooks
func (f *Forge) Events(header http.Header, body []byte) ([]builder.Event, error) {
	d := delivery{forge: f, event: hookType(header)}
	if d.event == "" {
		return nil, forge.BrokenPayload("there is no X-Gitlab-Event header that names an event")
	}
	var err error
	if d.payload, err = scan(body); err != nil {
		return nil, err
	}
	d.scope, _ = scopeOf(header.Get(headerToken))
	if d.scope.Probe {
		return nil, d.ignore("the webhook is being tried")
	}
	if d.event == "system" || d.event == "project" {
		d.event = d.Kind
	}
	read, _ := readerOf(d.event)
	switch {
	case read == nil:
		return nil, d.unwanted()
	case d.Kind != strings.TrimPrefix(d.event, "confidential_"):
		return nil, d.ignore("the payload is of " + strconv.QuoteToASCII(cut(d.Kind)) + "; remove the webhook's custom template")
	}
	d.id = deliveryID(header, body)
	events, err := read(d)
	for i := range events {
		events[i].Via = d.via()
	}
	if errors.Is(err, forge.ErrPayload) {
		f.Log.Warn("odd delivery", "event", d.event, "project", d.Project.ID, "err", err)
		return nil, fmt.Errorf("%s: %w: %w", d.event, forge.ErrIgnored, err)
	}
	return events, err
}

// deliveryID names a delivery. Idempotency-Key (since 17.4) repeats when GitLab
// delivers again, by itself or because somebody asked for it. Before that there
// was X-Gitlab-Event-UUID (since 14.8), which one job uses for all that it
// tells a webhook, and which webhooks that set off webhooks hand on: the body
// tells those apart. With neither, a push that goes back and forth repeats
// itself, and the second one is found when refs are compared.
func deliveryID(header http.Header, body []byte) string {
	if key := header.Get(headerIdempotency); forge.Plain(key, "-", maxDelivery) {
		return key
	}
	sum := sha256.Sum256(body)
	if uuid := header.Get(headerEventUUID); forge.Plain(uuid, "-", maxDelivery) {
		return uuid + "-" + hex.EncodeToString(sum[:4])
	}
	return hex.EncodeToString(sum[:16])
}

// eventID names an event of the delivery: about a ref, or "".
func (d delivery) eventID(ref string) string {
	id := d.forge.Config.Name + ":" + d.id
	if ref != "" {
		id += ":" + ref
	}
	return id
}

// via names the webhook as far as its token does.
func (d delivery) via() string {
	if d.scope.Kind == "" {
		return "webhook"
	}
	return d.scope.String()
}

// repository returns the project that the payload is about. The path is that of
// the day: the id stays when a project is renamed or moved.
// forge.ErrSignature where the webhook is another project's: whoever manages a
// project can have its webhook tell anything (custom templates).
func (d delivery) repository() (builder.Repository, error) {
	p := d.Project
	slash := strings.LastIndexByte(p.Path, '/')
	if p.ID <= 0 || slash < 0 || !validPath(p.Path) {
		return builder.Repository{}, forge.BrokenPayload("project %.100q has no id or path", p.Path)
	}
	if d.scope.Kind == scopeProject && int64(d.scope.ID) != p.ID {
		return builder.Repository{}, fmt.Errorf("the webhook of project %d tells of project %d: %w", d.scope.ID, p.ID, forge.ErrSignature)
	}
	return builder.Repository{
		Forge: d.forge.Config.Name, ID: strconv.FormatInt(p.ID, 10),
		Owner: p.Path[:slash], Name: p.Path[slash+1:], DefaultBranch: p.DefaultBranch,
	}, nil
}

// validPath reports whether text can be a path of groups, or with a project.
func validPath(text string) bool {
	if len(text) > maxPath {
		return false
	}
	for part := range strings.SplitSeq(text, "/") {
		if !forge.Plain(part, "-_.", maxSegment) || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// ignore says that the delivery starts nothing, and why where that is not
// plain.
func (d delivery) ignore(why string) error {
	what := d.event
	if forge.Plain(d.Action, "_", maxName) {
		what += "." + d.Action
	}
	if why != "" {
		what += ": " + why
	}
	return fmt.Errorf("%s: %w", what, forge.ErrIgnored)
}

// unwanted ignores a type of event that nobody reads.
func (d delivery) unwanted() error {
	if !forge.Plain(d.event, "_", maxName) {
		d.event = "unnamed"
	}
	switch d.event {
	case "repository_update":
		return d.ignore("push events tell the same")
	case "project_create", "project_rename", "project_transfer", "project_update":
		return d.ignore("its next push tells what it is called")
	}
	return d.ignore("")
}

// botName is what GitLab calls the users of project and group access tokens.
// Those of service accounts can be called anything.
// https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects
var botName = regexp.MustCompile(`^(?i:project|group)_[0-9]+_bot`)

// isBot reports whether a program writes, and none that the operator allowed.
func (f *Forge) isBot(username string) bool {
	return botName.MatchString(username) &&
		!slices.ContainsFunc(f.Config.Bots, func(allowed string) bool { return strings.EqualFold(allowed, username) })
}

func cut(text string) string {
	if len(text) > maxName {
		text = text[:maxName]
	}
	return text
}
