package gitlab

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/registry-build/registry-build/handlers/forge"
)

// payload is what readers need of a delivery. What only some of them need is
// left as it is.
type payload struct {
	Kind    string // object_kind, or event_name where there is only that
	Project payloadProject
	User    payloadUser // who did it

	// Of a push.
	Before, After, Ref string
	Checkout           string // the commit that was pushed, or that a tag is put on; "" where it is null

	Action       string       // object_attributes.action, "" for most types
	Object       gjson.Result // object_attributes: the merge request or the note
	Changes      gjson.Result // of a merge request
	MergeRequest gjson.Result // that the note is on
	Commit       gjson.Result // that the note is on
}

type payloadProject struct {
	ID            int64
	Path          string // group/subgroup/name
	DefaultBranch string // "" where there is none yet
}

type payloadUser struct {
	ID       int64 // 0 where an old server does not tell
	Username string
}

// smallBody is what gjson may look through: it goes into what is nested by
// calling itself. encoding/json, which takes several times as long, has a limit.
const smallBody = 64 << 10

// scan takes the fields out of a payload in one pass that steps over all
// others. Pushes are most of what arrives, and encoding/json takes more than
// twice as long. That it is JSON is looked at first, since nothing of it is
// signed.
func scan(body []byte) (payload, error) {
	valid := json.Valid
	if len(body) <= smallBody {
		valid = gjson.ValidBytes
	}
	var p payload
	top := gjson.ParseBytes(body)
	if !utf8.Valid(body) || !top.IsObject() || !valid(body) {
		return p, forge.BrokenPayload("it is no JSON object in UTF-8")
	}
	eventName, owner := "", int64(0)
	top.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "object_kind":
			p.Kind = text(value)
		case "event_name":
			eventName = text(value)
		case "project":
			p.Project = scanProject(value)
		case "project_id":
			owner = number(value)
		case "path_with_namespace": // of a system hook's project_destroy
			p.Project.Path = text(value)
		case "user":
			p.User = payloadUser{ID: number(value.Get("id")), Username: text(value.Get("username"))}
		case "user_username": // of a push
			p.User.Username = text(value)
		case "before":
			p.Before = text(value)
		case "after":
			p.After = text(value)
		case "ref":
			p.Ref = text(value)
		case "checkout_sha":
			p.Checkout = text(value)
		case "object_attributes":
			p.Object, p.Action = value, text(value.Get("action"))
		case "changes":
			p.Changes = value
		case "merge_request":
			p.MergeRequest = value
		case "commit":
			p.Commit = value
		}
		return true
	})
	if p.Kind == "" {
		p.Kind = eventName
	}
	if owner != 0 { // the project's own id is missing on old servers
		p.Project.ID = owner
	} else if p.Project.ID == 0 {
		p.Project.ID = number(p.Object.Get("target_project_id"))
	}
	return p, nil
}

func scanProject(value gjson.Result) payloadProject {
	var p payloadProject
	value.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "id":
			p.ID = number(value)
		case "path_with_namespace":
			p.Path = text(value)
		case "default_branch":
			p.DefaultBranch = text(value)
		}
		return true
	})
	return p
}

// text is a string, "" for anything else.
func text(r gjson.Result) string {
	if r.Type != gjson.String {
		return ""
	}
	return r.Str
}

// number is a whole number, 0 for anything else.
func number(r gjson.Result) int64 {
	if r.Type != gjson.Number {
		return 0
	}
	return r.Int()
}
