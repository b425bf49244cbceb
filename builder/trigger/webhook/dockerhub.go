package webhook

import (
	"errors"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// DockerHub is the payload of Docker Hub's webhooks, for receivers that know
// it: https://docs.docker.com/docker-hub/repos/manage/webhooks/. What Docker
// Hub knows and we do not is empty; types are Docker Hub's, because receivers
// decode strictly.
type DockerHub struct {
	CallbackURL string              `json:"callback_url"` // the build's page; nothing there listens
	PushData    DockerHubPush       `json:"push_data"`
	Repository  DockerHubRepository `json:"repository"`
}

// DockerHubPush is one tag that was put.
type DockerHubPush struct {
	Images   []string `json:"images"`    // always empty, as Docker Hub sends it
	PushedAt int64    `json:"pushed_at"` // Unix seconds
	Pusher   string   `json:"pusher"`
	Tag      string   `json:"tag"`
}

// DockerHubRepository is the image repository. RepoName and RepoURL hold the
// registry's host, as receivers need it to find what runs the image; those of
// docker.io are as Docker Hub writes them.
type DockerHubRepository struct {
	CommentCount    int    `json:"comment_count"`
	DateCreated     int64  `json:"date_created"`
	Description     string `json:"description"`
	Dockerfile      string `json:"dockerfile"`
	FullDescription string `json:"full_description"`
	IsOfficial      bool   `json:"is_official"`
	IsPrivate       bool   `json:"is_private"` // true: nobody asked whether everybody may pull it
	IsTrusted       bool   `json:"is_trusted"` // built from source, and not pushed by hand
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	Owner           string `json:"owner"`
	RepoName        string `json:"repo_name"`
	RepoURL         string `json:"repo_url"`
	StarCount       int    `json:"star_count"`
	Status          string `json:"status"`
}

// dockerHub makes one message for each tag: the format has room for one. Each
// has a delivery of its own, or a receiver that drops repeats would take the
// second tag for one.
func (k *Kind) dockerHub(f trigger.Firing) ([]message, error) {
	if f.Event != config.OnPushed {
		return nil, errors.New(`webhook: the format dockerhub can tell of pushed images only; write "on: [pushed]", or another format`)
	}
	if len(f.Tags) == 0 {
		return nil, errors.New("webhook: the format dockerhub tells of tags, and the build put none that the trigger selects")
	}
	at := f.Record.FinishedAt
	if at.IsZero() {
		at = f.Record.AcceptedAt
	}
	payload := DockerHub{
		PushData:   DockerHubPush{Images: []string{}, PushedAt: at.Unix(), Pusher: f.Record.Actor},
		Repository: k.dockerHubRepository(f.Record),
	}
	if k.o.BuildURL != nil {
		payload.CallbackURL = k.o.BuildURL(f.Record.ID)
	}
	var out []message
	for _, tag := range f.Tags {
		payload.PushData.Tag = tag
		m, err := one("application/json", f.Delivery+":"+tag, payload)
		if err != nil {
			return nil, err
		}
		out = append(out, m...)
	}
	return out, nil
}

func (k *Kind) dockerHubRepository(r builder.Record) DockerHubRepository {
	name := trigger.Image(k.o.Registry, r)
	host, path, _ := strings.Cut(name, "/")
	out := DockerHubRepository{
		RepoName: name, RepoURL: "https://" + name,
		IsPrivate: true, IsTrusted: r.State != builder.Pushed, Status: "Active",
	}
	switch {
	case host == "docker.io" || host == "index.docker.io":
		out.RepoName, out.RepoURL = path, "https://hub.docker.com/r/"+path
	case !isHost(host): // a name of the embedded registry, and nobody knows its host
		path, out.RepoURL = name, ""
	}
	out.Name = path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		out.Namespace, out.Name = path[:i], path[i+1:]
	}
	out.Owner = out.Namespace
	return out
}

// isHost is the rule by which image names are read: a host has a dot or a
// port, or is localhost.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }
