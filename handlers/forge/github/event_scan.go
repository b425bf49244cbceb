package github

import (
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/registry-build/registry-build/handlers/forge"
)

// pushPayload is what readPush needs of a push.
type pushPayload struct {
	payload
	Ref, Before, After string
	HeadCommit         string // "" where it is null
	Pusher             string
}

// scanPush takes the fields out of a push in one pass that steps over all
// others. Pushes are most of what arrives, and reading one with encoding/json,
// which goes over it twice, takes more than twice as long. It does not look
// whether what it steps over is JSON: the body is signed, so it is what GitHub
// wrote, and whatever is missing is found missing.
func scanPush(body []byte) (pushPayload, error) {
	var p pushPayload
	top := gjson.ParseBytes(body)
	if !top.IsObject() {
		return p, forge.BrokenPayload("push: it is no JSON object")
	}
	top.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "ref":
			p.Ref = value.Str
		case "before":
			p.Before = value.Str
		case "after":
			p.After = value.Str
		case "head_commit":
			p.HeadCommit = value.Get("id").Str
		case "pusher":
			p.Pusher = value.Get("name").Str
		case "repository":
			p.Repository = scanRepository(value)
		case "sender":
			p.Sender = payloadUser{Login: value.Get("login").Str, Type: value.Get("type").Str}
		case "installation":
			p.Installation.ID = value.Get("id").Int()
		}
		return true
	})
	for _, text := range []string{p.Ref, p.Pusher, p.Sender.Login} {
		if !utf8.ValidString(text) {
			return p, forge.BrokenPayload("push: it is not UTF-8")
		}
	}
	if p.Repository != nil && !utf8.ValidString(p.Repository.DefaultBranch) {
		return p, forge.BrokenPayload("push: it is not UTF-8")
	}
	return p, nil
}

func scanRepository(value gjson.Result) *payloadRepository {
	if !value.IsObject() {
		return nil
	}
	var r payloadRepository
	value.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "id":
			r.ID = value.Int()
		case "name":
			r.Name = value.Str
		case "full_name":
			r.FullName = value.Str
		case "default_branch":
			r.DefaultBranch = value.Str
		case "owner":
			r.Owner.Login = value.Get("login").Str
		}
		return true
	})
	return &r
}
