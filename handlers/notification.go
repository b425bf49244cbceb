package handlers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/registry-build/registry-build/builder"
)

// pushNotice is one push of a tag that a registry tells of.
type pushNotice struct {
	id     string // the registry's own, the same when it tells again
	image  string // with host
	tag    string
	digest string
	actor  string
}

// notification is whatever a registry sends: the keys of the formats do not
// get into each other's way.
//
//	distribution        https://distribution.github.io/distribution/about/notifications/
//	Harbor, CloudEvents https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/
type notification struct {
	Events []registryEvent `json:"events"` // distribution's

	Type     string      `json:"type"` // Harbor's; the next three too
	OccurAt  int64       `json:"occur_at"`
	Operator string      `json:"operator"`
	Default  *harborData `json:"event_data"`

	SpecVersion string      `json:"specversion"` // of Harbor's CloudEvents
	ID          string      `json:"id"`
	Cloud       *harborData `json:"data"`
}

type registryEvent struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Target struct {
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		URL        string `json:"url"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

type harborData struct {
	Resources []struct {
		Digest string `json:"digest"`
		Tag    string `json:"tag"`
		URL    string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

// What Harbor calls a push, in its two formats.
const (
	harborPush      = "PUSH_ARTIFACT"
	harborCloudPush = "harbor.artifact.pushed"
)

// readNotification returns the pushes of tags in a body, and why the rest of
// it starts nothing. Something in it that no registry sends refuses the whole.
func readNotification(body []byte) (pushes []pushNotice, ignored []string, err error) {
	var n notification
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&n); err != nil {
		return nil, nil, refuse(http.StatusBadRequest, "%s", jsonSentence(err))
	}
	switch {
	case n.Events != nil:
		pushes, ignored = n.distribution()
	case n.SpecVersion != "" && strings.HasPrefix(n.Type, "harbor."):
		pushes, ignored = n.harbor(n.Cloud, n.ID, harborCloudPush)
	case n.SpecVersion == "" && n.Type != "":
		pushes, ignored = n.harbor(n.Default, "", harborPush)
	default:
		return nil, nil, refuse(http.StatusBadRequest, "the body is no notification of a registry: it has neither distribution's events nor Harbor's type")
	}
	for i := range pushes {
		if err := pushes[i].check(); err != nil {
			return nil, nil, refuse(http.StatusBadRequest, "%s", err)
		}
	}
	return pushes, ignored, nil
}

const untagged = "a push without a tag starts nothing"

func (n notification) distribution() (pushes []pushNotice, ignored []string) {
	for _, e := range n.Events {
		switch {
		case e.Action != "push":
			ignored = append(ignored, fmt.Sprintf("%q is no push", clip(e.Action)))
			continue
		case e.Target.Tag == "": // of a layer, or by digest
			ignored = append(ignored, untagged)
			continue
		}
		host := e.Request.Host
		if host == "" {
			if u, err := url.Parse(e.Target.URL); err == nil {
				host = u.Host
			}
		}
		pushes = append(pushes, pushNotice{
			id: e.ID, image: host + "/" + e.Target.Repository, tag: e.Target.Tag, digest: e.Target.Digest, actor: e.Actor.Name})
	}
	return pushes, ignored
}

// harbor reads both of Harbor's formats. The older one has no id; the second
// and the digest tell its pushes apart.
func (n notification) harbor(data *harborData, id, push string) (pushes []pushNotice, ignored []string) {
	if n.Type != push {
		return nil, []string{fmt.Sprintf("%q is no push", clip(n.Type))}
	}
	if data == nil || len(data.Resources) == 0 {
		return nil, []string{"a push of nothing starts nothing"}
	}
	for _, r := range data.Resources {
		if r.Tag == "" || r.Tag == r.Digest { // which is how Harbor writes it
			ignored = append(ignored, untagged)
			continue
		}
		of := id
		if push == harborPush {
			of = fmt.Sprintf("%d-%s", n.OccurAt, r.Digest)
		}
		// The address has no scheme, unless it is an older Harbor's.
		_, after, found := strings.Cut(r.URL, "://")
		if !found {
			after = r.URL
		}
		host, _, _ := strings.Cut(after, "/")
		pushes = append(pushes, pushNotice{
			id: of, image: host + "/" + data.Repository.FullName, tag: r.Tag, digest: r.Digest, actor: n.Operator})
	}
	return pushes, ignored
}

// plainID may stand in an event's ID as it is.
var plainID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check holds a notice to what registries send, and makes its words fit for
// IDs and pages. A host without a dot or a port would make the name one of the
// embedded registry's.
func (p *pushNotice) check() error {
	host, _, _ := strings.Cut(p.image, "/")
	named, err := reference.WithName(p.image)
	switch {
	case p.id == "":
		return fmt.Errorf("a push of %s has no id", clip(p.image))
	case host != "localhost" && !strings.ContainsAny(host, ".:"):
		return fmt.Errorf("%q is no registry's host: it has neither a dot nor a port", clip(host))
	case err != nil || named.Name() != p.image:
		return fmt.Errorf("%q is no image repository", clip(p.image))
	case !builder.ValidTag(p.tag):
		return fmt.Errorf("%q is no tag", clip(p.tag))
	}
	if err := digest.Digest(p.digest).Validate(); err != nil {
		return fmt.Errorf("%q is no digest", clip(p.digest))
	}
	if !plainID.MatchString(p.id) {
		sum := sha256.Sum256([]byte(p.id))
		p.id = hex.EncodeToString(sum[:16])
	}
	p.actor = clip(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, p.actor))
	return nil
}

// clip cuts what somebody sent to what a sentence has room for.
func clip(s string) string {
	const most = 100
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
