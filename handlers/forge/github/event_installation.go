package github

import (
	"cmp"
	"strconv"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// readInstallation reads that an account let the app in, or put it out.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation
func readInstallation(d delivery) ([]builder.Event, error) {
	var p struct {
		Action       string              `json:"action"`
		Sender       payloadUser         `json:"sender"`
		Repositories []payloadRepository `json:"repositories"`
		Installation struct {
			ID      int64 `json:"id"`
			Account struct {
				Login string `json:"login"`
				Slug  string `json:"slug"` // of an enterprise, which has no login
			} `json:"account"`
		} `json:"installation"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	id := p.Installation.ID
	switch p.Action {
	case "created", "unsuspend":
		if len(p.Repositories) == 0 {
			// So it is after a suspension. Each repository's next event lets
			// it in again, and refs are compared every few minutes.
			return nil, d.ignore(p.Action, "it names no repository")
		}
		return d.installed(p.Repositories, id, p.Sender, false)
	case "deleted", "suspend":
	case "new_permissions_accepted":
		d.app.Forget(strconv.FormatInt(id, 10)) // what was refused before may be asked for at once
		return nil, d.ignore(p.Action, "")
	default:
		return nil, d.ignore(p.Action, "")
	}
	account := cmp.Or(p.Installation.Account.Login, p.Installation.Account.Slug)
	if id <= 0 || account == "" {
		// Other payloads name an installation too, by its id alone. The type of
		// an event is not signed: the deletion of a comment must not come in as
		// that of the installation.
		return nil, forge.BrokenPayload("installation: it has no id or no account")
	}
	// One event for all of them: an organisation may have thousands, and a
	// suspension does not list them.
	return []builder.Event{{
		ID: d.eventID(""), Kind: builder.Installation, Withdrawn: true, Actor: p.Sender.Login,
		Repository: builder.Repository{
			Forge: Instance, ID: "installation-" + strconv.FormatInt(id, 10), Installation: strconv.FormatInt(id, 10),
			Owner: account, Name: "*",
		},
	}}, nil
}

// readInstallationRepositories reads that repositories came into an
// installation, or left it.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation_repositories
func readInstallationRepositories(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Added   []payloadRepository `json:"repositories_added"`
		Removed []payloadRepository `json:"repositories_removed"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	switch p.Action {
	case "added", "removed":
	default:
		return nil, d.ignore(p.Action, "")
	}
	in, err := d.installed(p.Added, p.Installation.ID, p.Sender, false)
	if err != nil {
		return nil, err
	}
	out, err := d.installed(p.Removed, p.Installation.ID, p.Sender, true)
	if err != nil {
		return nil, err
	}
	events := append(out, in...)
	if len(events) == 0 {
		return nil, d.ignore(p.Action, "it names no repository")
	}
	return events, nil
}

// readRepository reads that a repository is gone. New names come with the
// next event, and nothing binds to the old one.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository
func readRepository(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Comment *struct{} `json:"comment"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if p.Action != "deleted" {
		return nil, d.ignore(p.Action, "")
	}
	if p.Repository == nil {
		return nil, forge.BrokenPayload("repository: it names none")
	}
	if p.Comment != nil { // the type of an event is not signed
		return nil, forge.BrokenPayload("repository: not that was deleted, but a comment")
	}
	return d.installed([]payloadRepository{*p.Repository}, p.Installation.ID, p.Sender, true)
}

func (d delivery) installed(repositories []payloadRepository, installation int64, by payloadUser, withdrawn bool) ([]builder.Event, error) {
	events := make([]builder.Event, 0, len(repositories))
	for _, r := range repositories {
		repo, err := r.in(installation)
		if err != nil {
			return nil, err
		}
		events = append(events, builder.Event{
			ID: d.eventID("") + "-" + repo.ID, Kind: builder.Installation, Repository: repo, Actor: by.Login, Withdrawn: withdrawn,
		})
	}
	return events, nil
}
